// What a session learns from inspecting its sockets. Called by a session every few seconds; throws SystemError for what
// the kernel never refuses.

#include "proxy/inspection.hh"

#include <algorithm>

namespace pepsal {

void Inspection::begin(Time now)
{
  last_ = now;
  interval_ = shortest_interval;
}

Inspection::Finding Inspection::look(Leg& client, Leg& server, std::uint64_t bytes, Time now)
{
  const auto span = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_);
  const auto client_facts = tcp_facts(client.socket);
  const auto server_facts = tcp_facts(server.socket);
  const bool quiet = bytes == bytes_before_;
  last_ = now;
  bytes_before_ = bytes;
  if (!client.is_silent && !client.liveness.lives(client_facts, now)) {
    return Finding::client_is_dead;
  }
  if (!server.is_silent && !server.liveness.lives(server_facts, now)) {
    return Finding::server_is_dead;
  }
  quiet_looks_ = quiet ? quiet_looks_ + 1 : 0;
  if (quiet_looks_ >= 2) { // answers to the last bytes have all arrived
    follow_keepalives(client, server, span, client_facts, server_facts);
  }
  client.facts_before = client_facts;
  server.facts_before = server_facts;
  const auto longest =
      std::min<std::chrono::milliseconds>({longest_interval, client.user_timeout / 4, server.user_timeout / 4});
  interval_ = std::min(quiet ? 2 * interval_ : shortest_interval, longest);
  return quiet ? Finding::quiet : Finding::moving;
}

void Inspection::follow_keepalives(Leg& client, Leg& server, std::chrono::milliseconds span,
                                   const TcpFacts& client_facts, const TcpFacts& server_facts)
{
  const auto follow = [span](const Leg& heard, const TcpFacts& facts, Leg& follower) {
    const auto keepalives = unasked_segments(heard.facts_before, facts, span, heard.keepalive);
    const auto interval = followed_interval(span, keepalives, follower.usual_keepalive);
    if (interval != follower.keepalive && follower.probes && !follower.is_silent) {
      follower.set_keepalive(interval);
    }
  };
  follow(client, client_facts, server);
  follow(server, server_facts, client);
}

} // namespace pepsal
