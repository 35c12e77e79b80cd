// The network of every end-to-end test: three hosts in namespaces of their own, and their programs. Throws if a
// namespace or an interface cannot be created.

#include "support/topology.hh"

#include "util/system_error.hh"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>
#include <unistd.h>

namespace pepsal::test {

namespace {

namespace fs = std::filesystem;

constexpr int client_network_number = 1;
constexpr int server_network_number = 2;
constexpr int box_number = 1;
constexpr int host_number = 2;
constexpr int second_number = 3;
constexpr int unused_number = 77;

Endpoint address(Family family, int network, int number, std::uint16_t port)
{
  const auto text = family == Family::ipv4 ? fmt::format("10.77.{}.{}", network, number)
                                           : fmt::format("fd00:77:{}::{}", network, number);
  return Endpoint::parse(text, port).value();
}

// Commands for ip -batch that give an interface its addresses and bring it up.
std::string address_commands(const std::string& interface, int network, int number)
{
  return fmt::format("address add {}/24 dev {}\naddress add {}/64 dev {} nodad\nlink set {} up\n",
                     address(Family::ipv4, network, number, 0).address_string(), interface,
                     address(Family::ipv6, network, number, 0).address_string(), interface, interface);
}

std::string slurp(const std::string& path)
{
  const std::ifstream file{path, std::ios::binary};
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string field(const std::string& status, const std::string& name)
{
  const auto at = status.find("\n" + name + ":\t");
  if (at == std::string::npos) {
    return {};
  }
  const auto start = at + name.size() + 3;
  return status.substr(start, status.find('\n', start) - start);
}

} // namespace

ChildProcess Host::start(std::vector<std::string> arguments, std::string input,
                         std::vector<std::string> environment) const
{
  return ChildProcess{Command{.arguments = std::move(arguments),
                              .input = std::move(input),
                              .environment = std::move(environment),
                              .network = network_,
                              .sandbox = sandbox_}};
}

Result Host::run(std::vector<std::string> arguments, std::string input) const
{
  return start(std::move(arguments), std::move(input)).finish();
}

std::string Host::must_run(std::vector<std::string> arguments, std::string input) const
{
  const auto what = Command{.arguments = arguments}.to_string();
  auto result = run(std::move(arguments), std::move(input));
  if (result.status != 0) {
    throw std::runtime_error{fmt::format("{}: exit {}:\n{}{}", what, result.status, result.out, result.err)};
  }
  return result.out;
}

void Host::set_sysctl(const std::string& path_below_net, const std::string& value) const
{
  const Visit here{*network_};
  const auto path = "/proc/sys/net/" + path_below_net;
  std::ofstream file{path};
  file << value << std::flush;
  if (!file) {
    throw std::runtime_error{fmt::format("cannot write {} to {}", value, path)};
  }
}

long Host::snmp(const std::string& protocol, const std::string& name) const
{
  const Visit here{*network_};
  std::ifstream file{"/proc/thread-self/net/snmp"};
  std::string names;
  std::string values;
  while (std::getline(file, names) && std::getline(file, values)) {
    if (!names.starts_with(protocol + ":")) {
      continue;
    }
    std::istringstream name_words{names};
    std::istringstream value_words{values};
    std::string value;
    for (std::string word; name_words >> word && value_words >> value;) {
      if (word == name) {
        return std::stol(value);
      }
    }
  }
  throw std::runtime_error{"no " + protocol + " " + name + " in /proc/net/snmp"};
}

Topology::Topology()
{
  // No waiting for duplicate address detection (RFC 4862 section 5.4): there are none.
  for (const auto* host : {&client_, &box_, &server_}) {
    host->set_sysctl("ipv6/conf/default/accept_dad", "0");
    host->set_sysctl("ipv6/conf/default/dad_transmits", "0");
  }
  client_.must_run({"ip", "-batch", "-"}, "link set lo up\n");
  server_.must_run({"ip", "-batch", "-"}, "link set lo up\n");
  box_.must_run({"ip", "link", "set", "lo", "up"});
  connect_to_box(client_, "client0", client_network_number);
  connect_to_box(server_, "server0", server_network_number);
  server_.must_run({"ip", "-batch", "-"}, address_commands("eth0", server_network_number, second_number));
  box_.set_sysctl("ipv4/ip_forward", "1");
  box_.set_sysctl("ipv6/conf/all/forwarding", "1");
}

void Topology::connect_to_box(const Host& host, const std::string& box_interface, int network_number) const
{
  // Run outside the sandbox, whose /proc does not show the test process and its descriptors.
  const auto peer = fmt::format("/proc/{}/fd/{}", ::getpid(), host.network().number());
  ChildProcess make{
      Command{.arguments = {"ip", "link", "add", box_interface, "type", "veth", "peer", "name", "eth0", "netns", peer},
              .network = &box_.network()}};
  if (const auto result = make.finish(); result.status != 0) {
    throw std::runtime_error{"ip link add: " + result.err};
  }
  box_.must_run({"ip", "-batch", "-"}, address_commands(box_interface, network_number, box_number));
  host.must_run({"ip", "-batch", "-"},
                address_commands("eth0", network_number, host_number) +
                    fmt::format("route add default via {}\nroute add default via {}\n",
                                address(Family::ipv4, network_number, box_number, 0).address_string(),
                                address(Family::ipv6, network_number, box_number, 0).address_string()));
}

void Topology::remake_client_interface() const
{
  box_.must_run({"ip", "link", "delete", "client0"});
  connect_to_box(client_, "client0", client_network_number);
}

Endpoint Topology::client_address(Family family, std::uint16_t port)
{
  return address(family, client_network_number, host_number, port);
}

Endpoint Topology::server_address(Family family, std::uint16_t port)
{
  return address(family, server_network_number, host_number, port);
}

Endpoint Topology::second_server_address(Family family, std::uint16_t port)
{
  return address(family, server_network_number, second_number, port);
}

Endpoint Topology::box_client_side(Family family, std::uint16_t port)
{
  return address(family, client_network_number, box_number, port);
}

Endpoint Topology::box_server_side(Family family, std::uint16_t port)
{
  return address(family, server_network_number, box_number, port);
}

Endpoint Topology::unused_address(Family family, std::uint16_t port)
{
  return address(family, server_network_number, unused_number, port);
}

void Topology::masquerade() const
{
  for (const auto* program : {"iptables", "ip6tables"}) {
    box_.must_run({program, "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "server0", "-j", "MASQUERADE"});
  }
}

std::vector<ProcessInfo> Topology::processes() const
{
  const auto ours = fs::read_symlink(fmt::format("/proc/{}/ns/pid", sandbox_.first_process()));
  std::vector<ProcessInfo> result;
  for (const auto& entry : fs::directory_iterator{"/proc"}) {
    const auto name = entry.path().filename().string();
    std::error_code gone;
    if (!std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c); }) ||
        fs::read_symlink(entry.path() / "ns/pid", gone) != ours || gone) {
      continue;
    }
    const auto status = slurp(entry.path() / "status");
    auto title = slurp(entry.path() / "cmdline");
    while (!title.empty() && (title.back() == '\0' || title.back() == ' ')) { // left over from an older, longer title
      title.pop_back();
    }
    std::ranges::replace(title, '\0', ' ');
    const auto inner = field(status, "NSpid");
    const auto pid = static_cast<pid_t>(std::stol(name));
    if (!inner.empty() && pid != sandbox_.first_process()) {
      result.push_back({.pid = pid,
                        .inner_pid = static_cast<pid_t>(std::stol(inner.substr(inner.rfind('\t') + 1))),
                        .parent = static_cast<pid_t>(std::stol(field(status, "PPid"))),
                        .state = field(status, "State")[0],
                        .title = title});
    }
  }
  return result;
}

std::string Topology::inside(const std::string& name)
{
  return fmt::format("{}/{}", Sandbox::work_folder, name);
}

std::string Topology::outside(const std::string& name) const
{
  return sandbox_.outside(inside(name));
}

void Topology::write_file(const std::string& name, const std::string& content) const
{
  std::ofstream file{outside(name), std::ios::binary};
  file << content << std::flush;
  if (!file) {
    throw std::runtime_error{"cannot write " + outside(name)};
  }
}

std::string Topology::read_file(const std::string& name) const
{
  return slurp(outside(name));
}

} // namespace pepsal::test
