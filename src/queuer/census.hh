#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <unordered_map>

#include "shared/connection_table.hh"

namespace pepsal {

// How many table entries each client has: an IPv4 address, or an IPv6 /64, from which one host may choose its addresses
// (RFC 4291 section 2.5.1). Counted by walking the table, so that processes that may be killed need not keep a count
// consistent; what this queuer has let in since the last walk is added, what other queuers have let in is seen at the
// next one. The caller provides the clock.
class ClientCensus
{
public:
  using Time = std::chrono::steady_clock::time_point;
  using Key = std::uint64_t; // of the address: all of an IPv4 address, the first half of an IPv6 address

  static Key key_of(const Endpoint& client);

  static constexpr auto longest_age = std::chrono::milliseconds{250}; // of a count that admits a client
  static constexpr auto shortest_age = std::chrono::milliseconds{10}; // of one that keeps a client out

  // SYNs of one client whose connection has not come yet. Half of what HalfOpen lets wait, so that a client that
  // completes no handshake leaves room for others.
  static constexpr std::uint32_t most_waiting = 1024;

  // The table must outlive it.
  explicit ClientCensus(const ConnectionTable& table)
      : table_{table}
  {}

  // Whether this client has fewer entries than `most`.
  bool has_room(const Endpoint& client, std::uint32_t most, Time now);

  // Whether fewer than `most_waiting` of them are pending.
  bool has_room_to_wait(const Endpoint& client, Time now);

  // A pending entry of this client was created.
  void add(const Endpoint& client) { add(client, true); }

  // Whether this client has reached the limit for the first time in a minute, which is worth a log line. At most a
  // thousand clients are remembered.
  bool is_news(const Endpoint& client, Time now);

private:
  struct Count
  {
    std::uint32_t entries;
    std::uint32_t pending;
  };

  void take(Time now);
  void add(const Endpoint& client, bool pending);
  bool is_below(const Endpoint& client, std::uint32_t Count::*figure, std::uint32_t most, Time now);

  const ConnectionTable& table_;
  std::unordered_map<Key, Count> counts_;
  Time taken_{};
  bool counted_once_{};
  std::unordered_map<Key, Time> told_;
};

} // namespace pepsal
