// What a reload changes, and what it does not. Called by the manager on SIGHUP. Cannot fail: the configuration has been
// checked before.

#include "manager/reload.hh"

#include <stdexcept>
#include <utility>

#include <fmt/core.h>

namespace pepsal {

void apply_rates(Config& config, const ToldRates& rates)
{
  for (const auto& [interface, rate] : rates) {
    const auto* const link = find_link(config.links, interface);
    if (link == nullptr) {
      continue;
    }
    if (!link->has_rates()) {
      throw std::runtime_error{fmt::format("link {} has no rates, round trip or side yet: describe it in the "
                                           "configuration",
                                           interface)};
    }
    try {
      add_link(config.links, fmt::format("{} rate={}", interface, rate));
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error{error.what()};
    }
  }
}

Reload plan_reload(const Config& running, Config fresh, std::uint32_t room)
{
  std::vector<std::string> warnings;
  const FixedConfig& fixed = running;
  for (const auto option : differing_options(fixed, fresh)) {
    const bool stays_over_a_restart = option == "instance" || option == "user";
    warnings.push_back(fmt::format("{} takes effect only after {}", option,
                                   stays_over_a_restart ? "a stop and a start" : "a restart"));
  }
  static_cast<FixedConfig&>(fresh) = fixed;
  if (fresh.max_connections > room) {
    warnings.push_back(fmt::format(
        "max-connections: the daemon has room for the {} it started with; more need a stop and a start", room));
    fresh.max_connections = room;
  }
  for (auto& warning : link_warnings(running.links, fresh.links)) {
    warnings.push_back(std::move(warning));
  }
  for (const auto& link : fresh.links) {
    const auto* const before = find_link(running.links, link.interface);
    if (link.has_rates() && (before == nullptr || to_string(*before) != to_string(link))) {
      warnings.push_back(
          fmt::format("link {}: the interface follows once pepsal-satlink start has run", link.interface));
    }
  }
  if (intercepted_interfaces(running) != intercepted_interfaces(fresh)) {
    warnings.emplace_back("intercept: the rules follow once pepsal-iptables start has run");
  }
  return {.config = std::move(fresh), .warnings = std::move(warnings)};
}

} // namespace pepsal
