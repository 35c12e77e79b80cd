#pragma once

#include <string>

namespace pepsal {

// Immediately gives the shaper that pepsal-satlink has set up on the interface the rate DOWN/UP: every moment at the
// old rate fills the satellite's queue, and pepsal-satlink, which sets everything that depends on the rate, takes some
// tenths of a second. Does nothing if pepsal-satlink has not prepared the interface. Throws SystemError, or
// std::invalid_argument for an invalid rate.
void reshape(const std::string& interface, const std::string& rate);

} // namespace pepsal
