#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hh"

namespace pepsal {

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
