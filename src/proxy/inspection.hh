#pragma once

#include <chrono>
#include <cstdint>

#include "proxy/leg.hh"

namespace pepsal {

// Periodic inspection of a session's legs for what no event reports: a host that no longer answers, and keepalives that
// one host sends and the other should see. The caller provides the clock.
class Inspection
{
public:
  using Time = std::chrono::steady_clock::time_point;

  enum class Finding
  {
    moving,
    quiet, // no byte has been passed on since the last look
    client_is_dead,
    server_is_dead
  };

  // The first look is due in two seconds. While nothing moves, each pause is twice as long as the one before, up to a
  // minute and a quarter of a user timeout.
  void begin(Time now);
  Time due() const { return last_ + interval_; }

  // Inspects both legs, given the total of bytes passed on in both directions, and sets their keepalives.
  Finding look(Leg& client, Leg& server, std::uint64_t bytes, Time now);

private:
  static constexpr std::chrono::milliseconds shortest_interval{2'000};
  static constexpr std::chrono::milliseconds longest_interval{60'000};

  static void follow_keepalives(Leg& client, Leg& server, std::chrono::milliseconds span, const TcpFacts& client_facts,
                                const TcpFacts& server_facts);

  Time last_{};
  std::chrono::milliseconds interval_{shortest_interval};
  std::uint64_t bytes_before_{}; // at the last look
  int quiet_looks_{};            // in a row
};

} // namespace pepsal
