#pragma once

#include <cstdint>
#include <string>

#include "util/endpoint.hh"

namespace pepsal {

// The way of this machine's own packets.
struct Route
{
  std::uint32_t interface; // index; 0 when there is no route
  bool is_local;           // the destination is an address of this machine
};

// The way of packets with this mark to `destination`, by RTM_GETROUTE (rtnetlink(7)). ip rules that select by source
// address or by arrival are not followed. Throws SystemError when the kernel cannot be asked.
Route find_route(const Endpoint& destination, std::uint32_t mark);

// Empty when there is none with this index.
std::string name_of_interface(std::uint32_t index);

// Name of the interface by which this machine's own packets with this mark leave for `destination`:
// that of find_route(). Empty when there is no route.
std::string outgoing_interface(const Endpoint& destination, std::uint32_t mark);

} // namespace pepsal
