#pragma once

#include <optional>
#include <string>

#include "link/link.hh"

// What pepsal-satlink(8) has recorded about the interfaces that it has prepared.
namespace pepsal {

// The link that this interface is prepared for; nothing if it is not, or if it has been replaced by another of the same
// name.
std::optional<Link> prepared_link(const std::string& interface);

// The rate, DOWN/UP in Mbit/s, last reported by a modem for the interface of this name (pepsalctl link); empty if none.
std::string told_rate(const std::string& interface);

} // namespace pepsal
