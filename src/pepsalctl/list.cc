// pepsalctl list: connections in aligned columns, with totals, or in JSON.

#include <algorithm>

#include <fmt/core.h>

#include "pepsalctl/commands.hh"
#include "pepsalctl/text.hh"
#include "pepsalctl/to_json.hh"

namespace pepsal {

namespace {

struct Totals
{
  std::size_t pending{};
  std::size_t connecting{};
  std::size_t open{};
  std::uint64_t up{};
  std::uint64_t down{};
};

Totals totals_of(const std::vector<ShownConnection>& connections)
{
  Totals result;
  for (const auto& connection : connections) {
    const auto state = connection.entry.state;
    result.pending += state == SlotState::pending;
    result.connecting += state == SlotState::connecting;
    result.open += state == SlotState::open;
    result.up += connection.entry.bytes_up;
    result.down += connection.entry.bytes_down;
  }
  return result;
}

// Milliseconds of both legs, "client/server", or of the selected one.
std::string rtt_text(const ShownConnection& connection, std::optional<LegName> leg)
{
  const auto one = [](const std::optional<SocketFacts>& socket) {
    constexpr double microseconds = 1000;
    return socket ? fmt::format("{:.0f}", socket->info.tcpi_rtt / microseconds) : std::string{"-"};
  };
  if (leg) {
    return one(*leg == LegName::client ? connection.legs.client : connection.legs.server);
  }
  return one(connection.legs.client) + '/' + one(connection.legs.server);
}

std::vector<std::string> row_of(const ShownConnection& connection, std::optional<LegName> leg)
{
  const auto& entry = connection.entry;
  const auto figures = figures_of(connection, leg);
  return {std::to_string(connection.id()),     state_name(entry.state),    entry.connection.client.to_string(),
          entry.connection.server.to_string(), short_time(connection.age), short_bytes(entry.bytes_up),
          short_bytes(entry.bytes_down),       rtt_text(connection, leg),  short_bytes(figures.retransmissions),
          short_bytes(figures.queued)};
}

void print_json(const std::vector<ShownConnection>& connections)
{
  auto all = nlohmann::ordered_json::array();
  for (const auto& connection : connections) {
    all.push_back(to_json(connection));
  }
  const auto totals = totals_of(connections);
  const nlohmann::ordered_json result{{"connections", std::move(all)},
                                      {"totals",
                                       {{"pending", totals.pending},
                                        {"connecting", totals.connecting},
                                        {"open", totals.open},
                                        {"bytes_up", totals.up},
                                        {"bytes_down", totals.down}}}};
  fmt::print("{}\n", result.dump(2));
}

} // namespace

std::vector<std::string> list_lines(const std::vector<ShownConnection>& connections, std::optional<LegName> leg,
                                    const std::vector<RateTexts>& rates)
{
  constexpr std::size_t up = 5; // its column; down is the next
  std::vector<std::string> headings{"ID", "STATE", "CLIENT", "SERVER", "AGE", "UP", "DOWN", "RTT", "RETR", "QUEUED"};
  if (!rates.empty()) {
    headings[up] = "UP/s";
    headings[up + 1] = "DOWN/s";
  }
  Columns columns;
  for (const auto& heading : headings) {
    const bool is_text = heading == "STATE" || heading == "CLIENT" || heading == "SERVER";
    columns.add_column(heading, is_text ? Columns::Side::left : Columns::Side::right);
  }
  for (std::size_t i = 0; i < connections.size(); ++i) {
    auto row = row_of(connections[i], leg);
    if (!rates.empty()) {
      row[up] = rates.at(i).up;
      row[up + 1] = rates.at(i).down;
    }
    columns.add_row(std::move(row));
  }
  return columns.lines();
}

void list(const SharedSegment& segment, const CommandOptions& line)
{
  const auto connections = line.selection.of(connections_of(segment));
  if (line.json) {
    print_json(connections);
    return;
  }
  for (const auto& text : list_lines(connections, line.selection.leg)) {
    fmt::print("{}\n", text);
  }
  const auto totals = totals_of(connections);
  fmt::print("total {}: {} pending, {} connecting, {} open; up {}, down {}\n", connections.size(), totals.pending,
             totals.connecting, totals.open, short_bytes(totals.up), short_bytes(totals.down));
}

} // namespace pepsal
