// Reads the state files of pepsal-satlink, which documents their contents. Called by pepsalctl before it changes a
// shaper, and by the manager at its start. Cannot fail: what cannot be read counts as missing.

#include "link/prepared.hh"

#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

#include <fmt/core.h>
#include <sys/stat.h>

namespace pepsal {

namespace {

std::uint64_t inode_of(const std::string& path)
{
  struct stat facts
  {};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

std::string first_line_of(const std::string& path)
{
  std::string line;
  std::ifstream stream{path};
  std::getline(stream, line);
  return line;
}

// The text after `kind` in the state file whose first line begins with `identity`; empty if there is none.
std::string noted(const std::string& interface, const std::string& identity, const std::string& kind)
{
  std::ifstream state{fmt::format("/run/pepsal-satlink/{}.{}", inode_of("/proc/self/ns/net"), interface)};
  std::string line;
  if (!std::getline(state, line) || !(line + ' ').starts_with(identity + ' ')) {
    return {};
  }
  const auto head = kind + ' ';
  while (std::getline(state, line)) {
    if (line.starts_with(head)) {
      return line.substr(head.size());
    }
  }
  return {};
}

std::string identity_of_namespace()
{
  return fmt::format("of {} {}", first_line_of("/proc/sys/kernel/random/boot_id"), inode_of("/sys/class/net/lo"));
}

std::optional<Link> parse_link(const std::string& text)
{
  try {
    std::vector<Link> links;
    add_link(links, text);
    return links.front();
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

} // namespace

std::optional<Link> prepared_link(const std::string& interface)
{
  const auto identity =
      fmt::format("{} {}", identity_of_namespace(), inode_of(fmt::format("/sys/class/net/{}", interface)));
  std::istringstream words{noted(interface, identity, "link")};
  std::string rate;
  std::string round_trip;
  std::string side;
  if (!(words >> rate >> round_trip >> side)) {
    return std::nullopt;
  }
  return parse_link(fmt::format("{} rate={} rtt={} side={}", interface, rate, round_trip, side));
}

std::string told_rate(const std::string& interface)
{
  auto rate = noted(interface, identity_of_namespace(), "told");
  return parse_link(fmt::format("{} rate={}", interface, rate)) ? rate : std::string{};
}

} // namespace pepsal
