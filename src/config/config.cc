// What the configuration means, apart from how it is read. Cannot fail.

#include "config/config.hh"

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include <fmt/core.h>

namespace pepsal {

namespace {

constexpr auto no_interface = "none"; // of --intercept

} // namespace

std::uint32_t per_client_limit(const Config& config)
{
  constexpr std::uint32_t least = 64;
  return config.max_per_client != 0 ? config.max_per_client : std::max(config.max_connections / 4, least);
}

std::vector<std::string> intercepted_interfaces(const Config& config)
{
  std::vector<std::string> names;
  if (!config.intercept.empty() && config.intercept.front() == no_interface) {
    return names;
  }
  const auto add = [&names](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  };
  std::for_each(config.links.begin(), config.links.end(), [&](const Link& link) { add(link.interface); });
  std::for_each(config.intercept.begin(), config.intercept.end(), add);
  return names;
}

void add_intercepted(std::vector<std::string>& intercept, const std::string& word)
{
  constexpr std::size_t longest = 15; // IFNAMSIZ without the zero, netdevice(7)
  if (word.empty() || word.size() > longest || word.find_first_of("/ \t!\"'=") != std::string::npos ||
      word.front() == '-' || word.find('+') < word.size() - 1 || word == "+") {
    throw std::invalid_argument{fmt::format("'{}' is not the name of an interface, a prefix of names followed by '+', "
                                            "or none: {} characters at most, without blank or '/'",
                                            word, longest)};
  }
  if (word == "lo") {
    throw std::invalid_argument{"'lo' carries no forwarded connections; name the interface that the clients are on"};
  }
  if (!intercept.empty() && (word == no_interface || intercept.front() == no_interface)) {
    throw std::invalid_argument{fmt::format("'{}' contradicts '{}', which was given before", word, intercept.front())};
  }
  intercept.push_back(word);
}

std::vector<std::string_view> differing_options(const FixedConfig& one, const FixedConfig& other)
{
  std::vector<std::string_view> names;
  const auto compare = [&names](std::string_view name, const auto& left, const auto& right) {
    if (left != right) {
      names.push_back(name);
    }
  };
  compare("daemon", one.daemon, other.daemon);
  compare("address", one.address, other.address);
  compare("port", one.port, other.port);
  compare("queue", std::pair{one.first_queue, one.last_queue}, std::pair{other.first_queue, other.last_queue});
  compare("mark-shift", one.marks, other.marks);
  compare("instance", one.instance, other.instance);
  compare("pidfile", one.pidfile, other.pidfile);
  compare("user", one.user, other.user);
  compare("connect", one.connect, other.connect);
  compare("peer", one.peers.peers, other.peers.peers);
  compare("warm-connections", one.peers.warm_connections, other.peers.warm_connections);
  compare("peer-port", one.peers.port, other.peers.port);
  compare("peer-key", one.peers.key_file, other.peers.key_file);
  return names;
}

std::vector<std::string> link_warnings(const std::vector<Link>& running, const std::vector<Link>& fresh)
{
  std::vector<std::string> warnings;
  for (const auto& link : fresh) {
    const auto* const before = find_link(running, link.interface);
    if (before == nullptr) {
      warnings.push_back(
          fmt::format("link {}: connections that arrive there use it only after a restart", link.interface));
    } else if (before->has_rates() && !link.has_rates()) {
      warnings.push_back(
          fmt::format("link {}: connections that arrive keep the old buffers until a restart", link.interface));
    }
  }
  return warnings;
}

std::string check_instance_name(const std::string& name)
{
  const bool plain = !name.empty() && name.size() <= 64 && name.front() != '.' &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
                     });
  return plain ? "" : fmt::format("'{}' is not 1 to 64 letters, digits, '-', '_' or '.', not beginning with '.'", name);
}

} // namespace pepsal
