// pepsalctl show: one connection with both of its legs. Fails if there is none with that ID or client.

#include <functional>
#include <stdexcept>

#include <fmt/core.h>

#include "pepsalctl/commands.hh"
#include "pepsalctl/parse.hh"
#include "pepsalctl/text.hh"
#include "pepsalctl/to_json.hh"
#include "pepsalctl/waiting.hh"
#include "util/usage_error.hh"

namespace pepsal {

namespace {

constexpr unsigned bits_a_byte = 8;
constexpr double microseconds_a_millisecond = 1000;

std::string milliseconds(std::uint32_t microseconds)
{
  return fmt::format("{:.1f} ms", microseconds / microseconds_a_millisecond);
}

std::string bit_rate(std::uint64_t bytes_per_second)
{
  return bytes_per_second == ~std::uint64_t{0} ? "unlimited" : short_bytes(bytes_per_second * bits_a_byte) + "bit/s";
}

std::string since_start(std::uint64_t microseconds)
{
  return short_time(std::chrono::microseconds{microseconds});
}

struct Row
{
  const char* name;
  std::function<std::string(const SocketFacts&)> text;
};

const std::vector<Row>& rows()
{
  static const std::vector<Row> result{
      {"state", [](const auto& socket) { return tcp_state_name(socket.state); }},
      {"local", [](const auto& socket) { return socket.local.to_string(); }},
      {"remote", [](const auto& socket) { return socket.remote.to_string(); }},
      {"round trip", [](const auto& socket) { return milliseconds(socket.info.tcpi_rtt); }},
      {"  minimum", [](const auto& socket) { return milliseconds(socket.info.tcpi_min_rtt); }},
      {"retransmitted", [](const auto& socket) { return fmt::format("{} segments", socket.info.tcpi_total_retrans); }},
      {"congestion", [](const auto& socket) { return socket.congestion; }},
      {"  window",
       [](const auto& socket) {
         return fmt::format("{} x {} bytes", socket.info.tcpi_snd_cwnd, socket.info.tcpi_snd_mss);
       }},
      {"  pacing", [](const auto& socket) { return bit_rate(socket.info.tcpi_pacing_rate); }},
      {"  delivery", [](const auto& socket) { return bit_rate(socket.info.tcpi_delivery_rate); }},
      {"host's window", [](const auto& socket) { return short_bytes(socket.info.tcpi_snd_wnd) + "B"; }},
      {"not read", [](const auto& socket) { return short_bytes(socket.receive_queue) + "B"; }},
      {"not acked", [](const auto& socket) { return short_bytes(socket.send_queue) + "B"; }},
      {"  not sent", [](const auto& socket) { return short_bytes(socket.info.tcpi_notsent_bytes) + "B"; }},
      {"waits for", [](const auto& socket) { return waiting_text(socket); }},
      {"had to send", [](const auto& socket) { return since_start(socket.info.tcpi_busy_time); }},
      {"  receiver", [](const auto& socket) { return since_start(socket.info.tcpi_rwnd_limited); }},
      {"  buffer", [](const auto& socket) { return since_start(socket.info.tcpi_sndbuf_limited); }}};
  return result;
}

void print(const ShownConnection& connection)
{
  const auto& entry = connection.entry;
  const auto& syn = entry.connection.syn;
  const auto peer = connection.peer();
  fmt::print("connection {}: {} for {}, proxy {}{}{}\n", connection.id(), state_name(entry.state),
             short_time(connection.age), connection.pid, peer ? ", peer " : "", peer ? peer->to_string() : "");
  fmt::print("client {}, server {}\n", entry.connection.client, entry.connection.server);
  fmt::print("arrived on {}, mss {}, dscp {}; up {} bytes, down {} bytes\n", connection.interface, syn.mss,
             syn.traffic_class >> 2, entry.bytes_up, entry.bytes_down);
  Columns columns;
  for (const auto* heading : {"", "client leg", "server leg"}) {
    columns.add_column(heading, Columns::Side::left);
  }
  for (const auto& row : rows()) {
    const auto cell = [&row](const auto& socket) { return socket ? row.text(*socket) : std::string{"-"}; };
    columns.add_row({row.name, cell(connection.legs.client), cell(connection.legs.server)});
  }
  for (const auto& line : columns.lines()) {
    fmt::print("{}\n", line);
  }
}

} // namespace

std::vector<ShownConnection> find_connections(const SharedSegment& segment, const std::string& which)
{
  const auto id = number_in(which);
  const auto client = endpoint_in(which);
  if (!id && !client) {
    throw UsageError{fmt::format("'{}' is neither an ID, as list shows it, nor a client's ADDRESS:PORT", which)};
  }
  auto result = connections_of(segment);
  std::erase_if(result, [&](const auto& connection) {
    return id ? connection.id() != *id : connection.entry.connection.client != *client;
  });
  if (result.empty()) {
    throw std::runtime_error{fmt::format("there is no connection {}{}", id ? "" : "of ", which)};
  }
  return result;
}

void show(const SharedSegment& segment, const CommandOptions& line)
{
  const auto found = find_connections(segment, line.which);
  if (line.json) {
    auto all = nlohmann::ordered_json::array();
    for (const auto& connection : found) {
      all.push_back(to_json(connection));
    }
    fmt::print("{}\n", nlohmann::ordered_json{{"connections", std::move(all)}}.dump(2));
    return;
  }
  for (const auto& connection : found) {
    print(connection);
  }
}

} // namespace pepsal
