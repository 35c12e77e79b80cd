#pragma once

#include <string>
#include <vector>

#include "config/config.hh"

namespace pepsal {

// Something that this system lacks for a configuration, and how to correct it.
struct Lack
{
  bool prevents_start;
  std::string text; // one line
};

// Checks what depends on this system: congestion controls, interfaces, addresses, Fast Open, forwarding.
std::vector<Lack> find_lacks(const Config& config);

// Throws std::runtime_error with the first lack that prevents a start.
void check_against_system(const Config& config);

} // namespace pepsal
