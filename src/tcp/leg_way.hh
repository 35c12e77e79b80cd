#pragma once

#include <cstdint>
#include <optional>

#include "config/config.hh"
#include "tcp/route.hh"
#include "util/endpoint.hh"

namespace pepsal {

// The way of a server leg, and the mark by which it goes there.
struct LegWay
{
  Route route;
  std::uint32_t mark;
  bool astray; // it is not the way that the client's packets would have gone
};

// How packets of `client`, which arrive by the interface `arrival` (its index, 0 if unknown), would go to `server`
// without PEPsal, and a mark with which those of the box take that way, from the client's address if
// `preserve_source`. `own` is the way of a server leg as such. Throws as RouteSocket::find() does.
LegWay way_of_server_leg(const RouteSocket& routes, const Marks& marks, const Route& own, const Endpoint& client,
                         const Endpoint& server, std::uint32_t arrival, bool preserve_source);

} // namespace pepsal
