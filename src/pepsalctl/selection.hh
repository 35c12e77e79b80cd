#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pepsalctl/connections.hh"
#include "util/prefix.hh"

namespace pepsal {

// One side of the box.
enum class LegName
{
  client,
  server
};

enum class Column
{
  id,
  state,
  client,
  server,
  age,
  up,
  down,
  rtt,
  retransmissions,
  queued
};
inline constexpr std::array<std::string_view, 10> column_names{"id",   "state", "client", "server", "age", "up",
                                                               "down", "rtt",   "retr",   "queued"}; // by Column

// Which connections are shown, and in which order.
struct Selection
{
  std::optional<Prefix> client{};
  std::optional<Prefix> server{};
  std::optional<Prefix> peer{};        // of the box at the other end of the satellite link
  std::optional<std::uint16_t> port{}; // the server's
  std::optional<SlotState> state{};
  std::optional<LegName> leg{}; // only its figures count, and connections without it are left out
  Column sort{Column::id};

  bool has(const ShownConnection& connection) const;
  // Whether `one` is listed above `other`.
  bool puts_first(const ShownConnection& one, const ShownConnection& other) const;
  // The selected connections, sorted: names and addresses ascending, quantities descending.
  std::vector<ShownConnection> of(std::vector<ShownConnection> all) const;
};

// Sums over the legs that count; the round-trip time, in microseconds, is that of the longer one.
struct LegSums
{
  std::uint32_t rtt_us{};
  std::uint64_t retransmissions{}; // segments
  std::uint64_t queued{};          // bytes in the box: not read or not acknowledged yet
};
LegSums figures_of(const ShownConnection& connection, std::optional<LegName> leg);

} // namespace pepsal
