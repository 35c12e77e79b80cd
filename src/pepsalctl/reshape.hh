#pragma once

#include <string>

namespace pepsal {

// Gives the shaper that pepsal-satlink has put on the interface the rate DOWN/UP at once: each moment at the old one
// fills the satellite's queue, and pepsal-satlink, which sets all that follows from a rate, takes some tenths of a
// second. Does nothing where it has not prepared the interface. Throws SystemError, std::invalid_argument for what is
// no rate.
void reshape(const std::string& interface, const std::string& rate);

} // namespace pepsal
