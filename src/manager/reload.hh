#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/config.hh"

namespace pepsal {

// Rates reported by modems since the start, by interface, as DOWN/UP in Mbit/s; they override the configuration's.
using ToldRates = std::map<std::string, std::string>;

// Applies them to the links of `config`, ignoring those of links that it no longer has. Throws std::runtime_error with
// one line for a rate that is invalid, or of a link without rates.
void apply_rates(Config& config, const ToldRates& rates);

// The result of reading the configuration again.
struct Reload
{
  Config config;                     // applies to new connections from now on
  std::vector<std::string> warnings; // what needs a restart, a line each
};

// Options that are fixed while the daemon runs keep the values of `running`, and the limit on connections does not
// exceed `room`, for which the table was created.
Reload plan_reload(const Config& running, Config fresh, std::uint32_t room);

} // namespace pepsal
