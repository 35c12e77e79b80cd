// Where a connection's second leg comes from: a warm connection or a dial. Called by a proxy once per connection. If a
// warm connection has passed nothing on, a dial carrying the same bytes follows; there is no other retry.

#include "proxy/server_leg.hh"

#include <vector>

#include <fmt/core.h>

#include "proxy/peer_leg.hh"
#include "util/log.hh"

namespace pepsal {

namespace {

void count(const DialResult& dialled, bool preserve_source, const Connection& connection, ConnectionTable& table)
{
  if (preserve_source) {
    note_source(table, connection, dialled.source);
  }
  if (dialled.first_bytes > 0) {
    table.count(Counter::fastopen_dials);
  }
}

ServerLeg dialled_leg(const Config& config, ConnectionTable& table, const Connection& connection,
                      const TCPSocket& client, const Departure& departure, bool preserve_source,
                      std::span<const std::byte> unsent)
{
  auto dialled = dial(config, connection, client, departure, preserve_source, unsent.empty());
  count(dialled, preserve_source, connection, table);
  if (dialled.end == DialEnd::failed) {
    return {.end = DialEnd::failed,
            .reason = fmt::format("dial-{}", dial_failure(dialled.error)),
            .error = static_cast<std::uint16_t>(dialled.error)};
  }
  if (dialled.end == DialEnd::connected && !unsent.empty()) {
    if (!send_unsent(config, dialled.socket, unsent)) {
      return {.end = DialEnd::failed, .reason = "dial-broken"};
    }
    dialled.first_bytes = unsent.size();
  }
  return {.end = dialled.end, .socket = std::move(dialled.socket), .first_bytes = dialled.first_bytes};
}

} // namespace

ServerLeg open_server_leg(const Config& config, ConnectionTable& table, std::span<WarmQueue> queues,
                          const std::optional<std::size_t>& peer, const Connection& connection, const TCPSocket& client,
                          const Departure& departure, bool preserve_source, std::uint8_t hops)
{
  // Under `source = own`, and after REDIRECT, nobody would dial from the client's address.
  const bool may_use_peer = peer && departure.link != nullptr && preserve_source;
  // The peer refuses connections to itself for others (PeerGate): not asking saves a round trip.
  if (!may_use_peer || *peer >= queues.size() ||
      config.peers.peers[*peer].address.address == connection.server.address) {
    return dialled_leg(config, table, connection, client, departure, preserve_source, {});
  }
  auto by_peer =
      dial_by_peer(config, table, queues[*peer], config.peers.peers[*peer], connection, client, *departure.link, hops);
  switch (by_peer.end) {
  case PeerLeg::End::connected:
    return {.end = DialEnd::connected,
            .socket = std::move(by_peer.socket),
            .first_bytes = by_peer.first_bytes,
            .origin = ServerLeg::Origin::warm};
  case PeerLeg::End::failed:
    return {.end = DialEnd::failed, .reason = std::move(by_peer.reason), .error = by_peer.error};
  case PeerLeg::End::client_gone:
    return {.end = DialEnd::client_gone};
  case PeerLeg::End::unused:
    break;
  }
  return dialled_leg(config, table, connection, client, departure, preserve_source, by_peer.unsent);
}

Counter failure_counter(std::string_view reason)
{
  struct Kind
  {
    std::string_view word;
    Counter counter;
  };
  for (const auto& [word, counter] :
       {Kind{"dial-refused", Counter::dials_refused}, Kind{"dial-timeout", Counter::dials_timed_out},
        Kind{"dial-unreachable", Counter::dials_unreachable}}) {
    if (reason.starts_with(word)) {
      return counter;
    }
  }
  return Counter::dials_failed;
}

} // namespace pepsal
