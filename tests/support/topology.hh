#pragma once

#include "support/child_process.hh"
#include "support/sandbox.hh"

#include "util/endpoint.hh"

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace pepsal::test {

enum class Family
{
  ipv4,
  ipv6
};

// One machine in the test's network.
class Host
{
public:
  // Both must outlive it.
  Host(const Sandbox& sandbox, const NetworkNamespace& network)
      : sandbox_{&sandbox}
      , network_{&network}
  {}

  const NetworkNamespace& network() const { return *network_; }

  ChildProcess start(std::vector<std::string> arguments, std::string input = {},
                     std::vector<std::string> environment = {}) const;

  // Runs a program to its end.
  Result run(std::vector<std::string> arguments, std::string input = {}) const;

  // The same, but throws std::runtime_error with its output unless it exits with 0.
  std::string must_run(std::vector<std::string> arguments, std::string input = {}) const;

  // Writes below /proc/sys/net of this host.
  void set_sysctl(const std::string& path_below_net, const std::string& value) const;

  // A figure from /proc/net/snmp, such as "Tcp", "PassiveOpens".
  long snmp(const std::string& protocol, const std::string& name) const;

private:
  const Sandbox* sandbox_;
  const NetworkNamespace* network_;
};

// A process of the sandbox.
struct ProcessInfo
{
  pid_t pid;         // as the test process sees it
  pid_t inner_pid;   // as processes of the sandbox see it
  pid_t parent;      // as the test process sees it
  char state;        // as in proc(5)
  std::string title; // arguments, or the title set in their place
};

// client -- box -- server, joined by veth pairs, each with IPv4 and IPv6. The box forwards.
// Interfaces are called eth0 on client and server, and client0 and server0 on the box.
class Topology
{
public:
  Topology();
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;

  const Sandbox& sandbox() const { return sandbox_; }
  const Host& client() const { return client_; }
  const Host& box() const { return box_; }
  const Host& server() const { return server_; }

  static Endpoint client_address(Family family, std::uint16_t port = 0);
  static Endpoint server_address(Family family, std::uint16_t port = 0);
  static Endpoint second_server_address(Family family, std::uint16_t port = 0);
  static Endpoint box_client_side(Family family, std::uint16_t port = 0);
  static Endpoint box_server_side(Family family, std::uint16_t port = 0);
  // An address in the server's network where no host answers.
  static Endpoint unused_address(Family family, std::uint16_t port = 0);

  // All connections that leave the box towards the server take the box's address.
  void masquerade() const;

  // Removes the client's interfaces and creates them again under the same names, with other indexes.
  void remake_client_interface() const;

  // All living processes of the sandbox, except its first process.
  std::vector<ProcessInfo> processes() const;

  // A file of the sandbox's work folder: its path for programs, and for the test process.
  static std::string inside(const std::string& name);
  std::string outside(const std::string& name) const;
  void write_file(const std::string& name, const std::string& content) const;
  std::string read_file(const std::string& name) const;

private:
  void connect_to_box(const Host& host, const std::string& box_interface, int network_number) const;

  NetworkNamespace client_network_;
  NetworkNamespace box_network_;
  NetworkNamespace server_network_;
  Sandbox sandbox_{box_network_};
  Host client_{sandbox_, client_network_};
  Host box_{sandbox_, box_network_};
  Host server_{sandbox_, server_network_};
};

} // namespace pepsal::test
