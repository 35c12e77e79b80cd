#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/config.hh"

namespace pepsal {

// Rates that a modem has told since the start, by interface, as DOWN/UP in Mbit/s; they count more than the
// configuration's.
using ToldRates = std::map<std::string, std::string>;

// Takes them into the links of `config`; those of a link that it has no more are left out. Throws std::runtime_error
// with one line for a rate that is none, or of a link that has no rates.
void apply_rates(Config& config, const ToldRates& rates);

// What a configuration read again comes to.
struct Reload
{
  Config config;                     // in force from now on for new connections
  std::vector<std::string> warnings; // what of it takes a restart, a line each
};

// Options that are fixed while the daemon runs keep the values of `running`, and no more than `room` connections fit
// into the table that it has.
Reload plan_reload(const Config& running, Config fresh, std::uint32_t room);

} // namespace pepsal
