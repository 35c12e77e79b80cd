#pragma once

#include <chrono>
#include <cstdint>

#include "proxy/leg.hh"

namespace pepsal {

// Looking after a session's legs now and then, for what no event tells: a host that no longer answers, and keepalives
// that one host sends and the other should see. The clock is the caller's.
class Inspection
{
public:
  using Time = std::chrono::steady_clock::time_point;

  enum class Finding
  {
    moving,
    quiet, // no byte has passed since the last time
    client_is_dead,
    server_is_dead
  };

  // The first look is due in two seconds. Once nothing moves, each pause is twice as long as the one before, a minute
  // at most and a quarter of a user timeout.
  void begin(Time now);
  Time due() const { return last_ + interval_; }

  // Looks at both legs, after so many bytes passed on in both ways together, and sets their keepalives.
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
