// Connections for programs. Nothing here can fail.

#include "pepsalctl/to_json.hh"

#include "pepsalctl/waiting.hh"

namespace pepsal {

namespace {

using Json = nlohmann::ordered_json;

constexpr double seconds(std::uint64_t microseconds)
{
  return static_cast<double>(microseconds) / 1e6;
}

Json leg_to_json(const std::optional<SocketFacts>& socket)
{
  if (!socket) {
    return nullptr;
  }
  constexpr unsigned bits_a_byte = 8;
  const auto& info = socket->info;
  return {
      {"state", tcp_state_name(socket->state)},
      {"local", socket->local.to_string()},
      {"remote", socket->remote.to_string()},
      {"rtt_seconds", seconds(info.tcpi_rtt)},
      {"rtt_min_seconds", seconds(info.tcpi_min_rtt)},
      {"retransmissions", info.tcpi_total_retrans},
      {"congestion", socket->congestion},
      {"congestion_window_segments", info.tcpi_snd_cwnd},
      {"mss", info.tcpi_snd_mss},
      {"peer_window_bytes", info.tcpi_snd_wnd},
      {"pacing_bits_per_second", info.tcpi_pacing_rate == ~0ULL ? Json{} : Json(info.tcpi_pacing_rate * bits_a_byte)},
      {"delivery_bits_per_second", info.tcpi_delivery_rate * bits_a_byte},
      {"receive_queue_bytes", socket->receive_queue},
      {"send_queue_bytes", socket->send_queue},
      {"unsent_bytes", info.tcpi_notsent_bytes},
      {"busy_seconds", seconds(info.tcpi_busy_time)},
      {"receiver_limited_seconds", seconds(info.tcpi_rwnd_limited)},
      {"send_buffer_limited_seconds", seconds(info.tcpi_sndbuf_limited)},
      {"waits_for", waits_for(*socket)}};
}

} // namespace

Json to_json(const ShownConnection& connection)
{
  const auto& entry = connection.entry;
  const auto peer = connection.peer();
  return {{"id", connection.id()},
          {"state", state_name(entry.state)},
          {"client", entry.connection.client.to_string()},
          {"server", entry.connection.server.to_string()},
          {"peer", peer ? Json(peer->to_string()) : Json{}},
          {"pid", connection.pid},
          {"age_seconds", connection.age.count()},
          {"bytes_up", entry.bytes_up},
          {"bytes_down", entry.bytes_down},
          {"interface", connection.interface},
          {"mss", entry.connection.syn.mss},
          {"dscp", entry.connection.syn.traffic_class >> 2},
          {"client_leg", leg_to_json(connection.legs.client)},
          {"server_leg", leg_to_json(connection.legs.server)}};
}

} // namespace pepsal
