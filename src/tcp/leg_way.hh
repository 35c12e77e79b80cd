#pragma once

#include <cstdint>
#include <optional>

#include "config/config.hh"
#include "tcp/route.hh"
#include "util/endpoint.hh"

namespace pepsal {

// The way of a server leg, and the mark that makes it go there.
struct LegWay
{
  Route route;
  std::uint32_t mark;
  bool astray; // this is not the way that the client's packets would have taken
};

// The way that packets of `client`, which arrive on the interface `arrival` (its index, 0 if unknown), would take to
// `server` without PEPsal, and a mark with which those of the box take it, from the client's address if
// `preserve_source`. `own` is the way that a server leg takes by default. Throws as RouteSocket::find() does.
LegWay way_of_server_leg(const RouteSocket& routes, const Marks& marks, const Route& own, const Endpoint& client,
                         const Endpoint& server, std::uint32_t arrival, bool preserve_source);

} // namespace pepsal
