#pragma once

#include <cstdint>
#include <string>

#include "util/endpoint.hh"

namespace pepsal {

// Name of the interface by which this machine's own packets with this mark leave for `destination`, by
// RTM_GETROUTE (rtnetlink(7)). Empty when there is no route. ip rules that select by source address are
// not followed. Throws SystemError when the kernel cannot be asked.
std::string outgoing_interface(const Endpoint& destination, std::uint32_t mark);

} // namespace pepsal
