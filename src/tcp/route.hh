#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "util/endpoint.hh"
#include "util/socket.hh"

namespace pepsal {

// The way of packets.
struct Route
{
  std::uint32_t interface {};          // index; 0 if there is no route
  bool is_local{};                     // the destination is an address of this machine
  std::array<std::byte, 16> gateway{}; // as in its attribute; zero if there is none

  bool operator==(const Route&) const = default;
};

// The TCP packets that are to be routed.
struct RouteFlow
{
  Endpoint source;
  std::uint32_t arrival; // index of the interface on which they arrive; `from_here` for this machine's own

  static constexpr std::uint32_t from_here = 1; // index of the loopback interface in every network namespace
};

// The route in the kernel's answer to RTM_GETROUTE; no route if it is another message, such as an error.
Route route_in(std::span<const std::byte> answer);

// Queries the kernel's routes through rtnetlink(7). A process opens it before it is confined.
class RouteSocket
{
public:
  // Throws SystemError.
  RouteSocket();

  // The way of packets with this mark to `destination`, from RTM_GETROUTE. Without `flow`, for this machine's own
  // packets from any address: ip rules that select by source address are not considered. With `flow`, as the kernel
  // forwards them: no route if it would drop them because of their source (rp_filter). Throws SystemError if the kernel
  // cannot be asked.
  Route find(const Endpoint& destination, std::uint32_t mark, const std::optional<RouteFlow>& flow = {}) const;

  // Empty if there is none with this index.
  std::string name_of_interface(std::uint32_t index) const;

  // Name of the interface through which this machine's own packets with this mark leave for `destination`. Empty if
  // there is no route.
  std::string outgoing_interface(const Endpoint& destination, std::uint32_t mark) const;

private:
  Socket socket_;
};

// The same for a single query, through a socket of its own.
std::string outgoing_interface(const Endpoint& destination, std::uint32_t mark);

} // namespace pepsal
