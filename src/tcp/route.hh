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

// A way of packets.
struct Route
{
  std::uint32_t interface {};          // index; 0 when there is no route
  bool is_local{};                     // the destination is an address of this machine
  std::array<std::byte, 16> gateway{}; // as in its attribute; zero when there is none

  bool operator==(const Route&) const = default;
};

// Whose TCP packets are meant.
struct RouteFlow
{
  Endpoint source;
  std::uint32_t arrival; // index of the interface they come from; `from_here` for this machine's own

  static constexpr std::uint32_t from_here = 1; // the loopback interface's, in each network namespace
};

// What the kernel's answer to RTM_GETROUTE says; no route when it is another message, such as an error.
Route route_in(std::span<const std::byte> answer);

// Asks the kernel for ways, by rtnetlink(7). A process that is confined opens it before.
class RouteSocket
{
public:
  // Throws SystemError.
  RouteSocket();

  // The way of packets with this mark to `destination`, by RTM_GETROUTE. Without `flow`, of this machine's own from any
  // address: ip rules that select by source address are not followed. With it, as the kernel forwards: none where it
  // would drop them, for their source (rp_filter). Throws SystemError when the kernel cannot be asked.
  Route find(const Endpoint& destination, std::uint32_t mark, const std::optional<RouteFlow>& flow = {}) const;

  // Empty when there is none with this index.
  std::string name_of_interface(std::uint32_t index) const;

  // Name of the interface by which this machine's own packets with this mark leave for `destination`. Empty when there
  // is no route.
  std::string outgoing_interface(const Endpoint& destination, std::uint32_t mark) const;

private:
  Socket socket_;
};

// The same once, by a socket of its own.
std::string outgoing_interface(const Endpoint& destination, std::uint32_t mark);

} // namespace pepsal
