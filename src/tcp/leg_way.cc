// Policy routing: the site's ip rules by source or interface match the client's packets, which the box answers, but
// must also apply to the server leg, which comes from the box itself. Called by a proxy before its dial, and by the
// dialler. If something cannot be determined, the leg takes the box's default way.

#include "tcp/leg_way.hh"

namespace pepsal {

LegWay way_of_server_leg(const RouteSocket& routes, const Marks& marks, const Route& own, const Endpoint& client,
                         const Endpoint& server, std::uint32_t arrival, bool preserve_source)
{
  const LegWay as_the_box{.route = own, .mark = marks.server_leg(), .astray = false};
  if (arrival == 0 || own.is_local) {
    return as_the_box;
  }
  const auto forwarded = routes.find(server, 0, RouteFlow{.source = client, .arrival = arrival});
  if (forwarded.interface == 0 || forwarded.is_local || forwarded == own) {
    return as_the_box;
  }
  // With a source, the kernel only answers for packets that it forwards; this machine's own packets look like those
  // when they come from its loopback interface.
  const auto flow =
      preserve_source ? std::optional{RouteFlow{.source = client, .arrival = RouteFlow::from_here}} : std::nullopt;
  for (const auto mark : {marks.server_leg(), marks.server_leg_by_arrival()}) {
    if (routes.find(server, mark, flow) == forwarded) {
      return {.route = forwarded, .mark = mark, .astray = false};
    }
  }
  return {.route = own, .mark = marks.server_leg(), .astray = true};
}

} // namespace pepsal
