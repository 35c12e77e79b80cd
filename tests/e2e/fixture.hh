#pragma once

#include "support/daemon.hh"
#include "support/eventually.hh"
#include "support/root.hh"
#include "support/socket.hh"
#include "support/topology.hh"

#include <future>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace pepsal::test {

// Runs a call in another thread; get() returns its result or throws its exception.
template<typename Call> auto in_background(Call call)
{
  return std::async(std::launch::async, std::move(call));
}

// A connection of the test, seen from both its ends.
struct Pair
{
  Connection client;
  Connection server;

  // Sends bytes there and back, to show that it works.
  void talk() const;
};

// An arrangement in which a case is run. The direct ones are the control: no proxy, same network.
struct Arrangement
{
  Mode mode;
  Family family;
  bool masquerade{};

  std::string name() const; // such as TproxyV6Masquerade
};

void PrintTo(const Arrangement& arrangement, std::ostream* out);

// For INSTANTIATE_TEST_SUITE_P: every mode with both families; and the same with masquerading.
std::vector<Arrangement> every_mode();
std::vector<Arrangement> every_mode_and_masquerade();
std::vector<Arrangement> proxied_modes();
std::vector<Arrangement> modes_that_keep_ports(); // direct and tproxy
std::vector<Arrangement> proxied_modes_and_masquerade();
std::string arrangement_name(const testing::TestParamInfo<Arrangement>& info);

// Reads to the end; returns the errno that ended it, or 0 for a clean end.
int end_of(const Connection& connection);

// A test with the three hosts. Skipped without root, except in CI, where that is a failure. After each
// test: the daemon stops with exit 0 and leaves nothing on the box, and no sanitizer has reported.
class NetworkTest : public RootTest
{
protected:
  void SetUp() override;
  void TearDown() override;

  Topology& net() { return *topology_; }
  void start_daemon(DaemonOptions options = {});
  Daemon& daemon() { return *daemon_; }
  bool has_daemon() const { return daemon_ != nullptr; }
  // A line may be logged a moment after the event.
  void expect_log_lines(const std::string& text, std::size_t number);
  // A listener on the server, and a connection of the client to it.
  static constexpr std::uint16_t server_port = 7000;
  Listener listen(Family family = Family::ipv4, std::uint16_t port = server_port);
  Pair connect(const Listener& listener);
  // Whether a new connection, opened and closed for this, works, and whether the box's kernel took part in it.
  enum class Path
  {
    direct,
    proxied
  };
  Path path_of_new_connection(const Listener& listener);

  // The proxy of a connection, found by its title.
  ProcessInfo proxy_of(const Connection& client);
  static void kill(const ProcessInfo& process); // SIGKILL

  // Adds rules that drop TCP to a host's chains, or removes them: "-I" or "-D".
  static void change_firewall(const Host& host, const char* action, std::initializer_list<const char*> chains);

  // For tests that stop the daemon themselves.
  void forget_daemon() { daemon_.reset(); }

  // Sends SIGKILL to all of PEPsal's processes, as if the machine had crashed.
  void kill_everything();
  // PEPsal's processes, shared memory and pid files, one a line.
  std::string what_is_left();

private:
  std::unique_ptr<Topology> topology_;
  std::unique_ptr<Daemon> daemon_;
};

// A case that is run in several arrangements.
class ConnectionTest : public NetworkTest, public testing::WithParamInterface<Arrangement>
{
protected:
  void SetUp() override;

  bool proxied() const { return GetParam().mode != Mode::direct; }
  Family family() const { return GetParam().family; }
  Listener listen_here(std::uint16_t port = server_port) { return listen(family(), port); }
  Endpoint server_at(std::uint16_t port) const { return Topology::server_address(family(), port); }

  // Sets the rules again, also for connections from the server's side.
  void intercept_both_sides();

  // What the server must see as the client's address.
  std::string expected_source() const;

  // Checks that at least this many connections went through the proxy, by the daemon's own counters and by the box's
  // kernel, which counts accepted and dialled connections. In direct arrangements: none.
  void expect_proxied(long connections_at_least);
  // Waits until this many closing lines are logged; does nothing in direct arrangements.
  void expect_closing_lines(std::size_t at_least);

  virtual DaemonOptions daemon_options() const { return {}; }
};

} // namespace pepsal::test
