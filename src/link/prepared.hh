#pragma once

#include <optional>
#include <string>

#include "link/link.hh"

// What pepsal-satlink(8) has noted of the interfaces that it has prepared.
namespace pepsal {

// The link that this very interface is prepared for; none if it is not.
std::optional<Link> prepared_link(const std::string& interface);

// The rate, DOWN/UP in Mbit/s, that a modem has told last of the interface of this name (pepsalctl link); empty if none
// has.
std::string told_rate(const std::string& interface);

} // namespace pepsal
