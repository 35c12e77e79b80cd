// Compares the configuration with the system it is to run on. Called at the start, on SIGHUP and by --check. What
// cannot be read is assumed to be present.

#include "config/system.hh"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>
#include <netinet/in.h>

#include "util/endpoint.hh"
#include "util/socket.hh"
#include "util/user.hh"

namespace pepsal {

namespace {

using Lacks = std::vector<Lack>;

void find_congestion(const std::string& name, Lacks& lacks)
{
  std::ifstream stream{"/proc/sys/net/ipv4/tcp_available_congestion_control"};
  const std::vector<std::string> available{std::istream_iterator<std::string>{stream}, {}};
  if (!name.empty() && std::find(available.begin(), available.end(), name) == available.end()) {
    lacks.push_back({.prevents_start = true,
                     .text = fmt::format("congestion control '{}' is not one of those this kernel has: {} (modprobe "
                                         "tcp_{} may add it)",
                                         name, fmt::join(available, ", "), name)});
  }
}

std::optional<int> number_in(const char* file)
{
  int value = 0;
  return std::ifstream{file} >> value ? std::optional{value} : std::nullopt;
}

// The kernel silently ignores TCP_FASTOPEN unless its sysctl has both bits set (ip-sysctl, tcp_fastopen).
void find_fastopen(bool has_peers, Lacks& lacks)
{
  constexpr int client_and_server = 1 | 2;
  constexpr int no_cookie_asked = 0x200;
  const int enabled = number_in("/proc/sys/net/ipv4/tcp_fastopen").value_or(0);
  if ((enabled & client_and_server) != client_and_server) {
    lacks.push_back({.prevents_start = true,
                     .text = fmt::format("--fastopen: it is off in this kernel for clients or servers: "
                                         "sysctl -w net.ipv4.tcp_fastopen={}",
                                         enabled | client_and_server)});
  }
  if (!has_peers && (enabled & no_cookie_asked) != 0) {
    lacks.push_back({.prevents_start = true,
                     .text = fmt::format("--fastopen: this kernel asks nobody for a cookie, so anybody could forge "
                                         "a SYN with data: sysctl -w net.ipv4.tcp_fastopen={}, or name the --peer",
                                         enabled & ~no_cookie_asked)});
  }
}

void find_address(const Config& config, Lacks& lacks)
{
  const SocketAddress address{*Endpoint::parse(config.address, 0)};
  const auto probe = Socket::create(address.family(), SOCK_STREAM, 0);
  if (::bind(probe.number(), address.get(), address.length()) == -1) {
    lacks.push_back({.prevents_start = true,
                     .text = fmt::format("--address: no interface of this box has '{}': `ip address` lists what they "
                                         "have",
                                         config.address)});
  }
}

void look_for_user(const std::string& name, Lacks& lacks)
{
  try {
    find_user(name);
  } catch (const std::runtime_error& error) {
    lacks.push_back({.prevents_start = true, .text = error.what()});
  }
}

void find_forwarding(Lacks& lacks)
{
  constexpr auto ipv6 = "/proc/sys/net/ipv6/conf/all/forwarding";
  if (number_in("/proc/sys/net/ipv4/ip_forward") == 0) {
    lacks.push_back({.prevents_start = false, .text = "this box forwards no IPv4: sysctl -w net.ipv4.ip_forward=1"});
  }
  if (number_in(ipv6) == 0) {
    lacks.push_back(
        {.prevents_start = false, .text = "this box forwards no IPv6: sysctl -w net.ipv6.conf.all.forwarding=1"});
  }
}

} // namespace

std::vector<Lack> find_lacks(const Config& config)
{
  Lacks lacks;
  find_congestion(config.satellite.congestion, lacks);
  if (config.terrestrial.congestion != config.satellite.congestion) {
    find_congestion(config.terrestrial.congestion, lacks);
  }
  if (config.fastopen) {
    find_fastopen(!config.peers.peers.empty(), lacks);
  }
  if (!config.address.empty()) {
    find_address(config, lacks);
  }
  if (!config.user.empty()) {
    look_for_user(config.user, lacks);
  }
  for (const auto& link : config.links) {
    if (if_nametoindex(link.interface.c_str()) == 0) {
      lacks.push_back({.prevents_start = true,
                       .text = fmt::format("satellite interface '{}' does not exist: `ip link` lists those that do",
                                           link.interface)});
    }
  }
  for (const auto& interface : intercepted_interfaces(config)) {
    if (!interface.ends_with('+') && find_link(config.links, interface) == nullptr &&
        if_nametoindex(interface.c_str()) == 0) {
      lacks.push_back({.prevents_start = false,
                       .text = fmt::format(
                           "intercept: there is no interface '{}' yet: `ip link` lists those that exist", interface)});
    }
  }
  find_forwarding(lacks);
  return lacks;
}

void check_against_system(const Config& config)
{
  for (const auto& lack : find_lacks(config)) {
    if (lack.prevents_start) {
      throw std::runtime_error{lack.text};
    }
  }
}

} // namespace pepsal
