#pragma once

#include <string>

#include "config/config.hh"

namespace pepsal {

// What a configuration means, for the administrator: links, what follows from them, limits. Several lines.
std::string describe(const Config& config);

// A line for each link, for other programs: "interface=sat0 side=gateway …", key=value pairs separated by blanks. For a
// link without rates, only the interface. The keys are listed in pepsal(8).
std::string links_for_programs(const Config& config);

// What pepsal-iptables takes from it, one of its options a line, as "OPTION=VALUE".
std::string rules_for_programs(const Config& config);

} // namespace pepsal
