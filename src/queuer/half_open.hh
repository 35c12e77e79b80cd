#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "shared/connection_table.hh"

namespace pepsal {

// How many intercepted SYNs wait for the end of their handshake: those intercepted lately less the connections accepted
// lately, by the table's counters. When more wait than a listener's backlog holds, the kernel answers by SYN cookies.
// It keeps nothing then, and under TPROXY the last segment of such a handshake has no socket that it could be found by:
// it is forwarded to the server, which resets the client. So further SYNs bypass before. Requests that nobody completes
// live about as long as the window, because the kernel shortens its patience when the backlog is half full
// (reqsk_timer_handler() of Linux).
class HalfOpen
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::uint64_t most =
      2048; // half of the listener's backlog, which net.core.somaxconn allows by default
  static constexpr std::size_t window_seconds = 8;

  // The table must outlive it.
  explicit HalfOpen(const ConnectionTable& table)
      : table_{table}
  {}

  bool has_room(Time now)
  {
    const auto seen = look();
    follow(seen, now);
    const auto& before = looks_[oldest_];
    const auto intercepted = seen.intercepted - before.intercepted;
    const auto accepted = seen.accepted - before.accepted;
    return intercepted < most + std::min(accepted, intercepted);
  }

private:
  struct Look
  {
    std::uint64_t intercepted;
    std::uint64_t accepted;
  };

  Look look() const
  {
    return {.intercepted = table_.counter(Counter::verdicts_intercept),
            .accepted = table_.counter(Counter::connections_accepted)};
  }

  // One look a second is remembered for as long as the window; of a time without SYNs the last one.
  void follow(const Look& seen, Time now)
  {
    constexpr auto pause = std::chrono::seconds{1};
    if (now - looked_at_ < pause) {
      return;
    }
    const bool quiet = now - looked_at_ >= pause * window_seconds;
    looked_at_ = now;
    if (quiet) {
      looks_.fill(seen);
      return;
    }
    looks_[oldest_] = seen;
    oldest_ = (oldest_ + 1) % looks_.size();
  }

  const ConnectionTable& table_;
  std::array<Look, window_seconds> looks_{};
  std::size_t oldest_{};
  Time looked_at_{};
};

} // namespace pepsal
