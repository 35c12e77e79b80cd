#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "shared/connection_table.hh"

namespace pepsal {

// How many intercepted SYNs wait for the end of their handshake: those intercepted recently minus the connections
// accepted recently, by the table's counters. When more wait than a listener's backlog holds, the kernel answers with
// SYN cookies. It then keeps no state, and under TPROXY there is no socket for the last segment of such a handshake: it
// is forwarded to the server, which resets the client. So further SYNs bypass the proxy before that happens. Requests
// that nobody completes live about as long as the window, because the kernel shortens their lifetime when the backlog
// is half full (reqsk_timer_handler() in Linux). SYNs bypass for as long as they arrive at more than a quarter of the
// flood's rate: a client whose SYN bypasses but whose retransmission does not would be answered twice.
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
    const bool is_full = waiting(seen) >= most;
    if (is_full && !flooded_) {
      flooded_ = true;
      flood_rate_ = 0;
      flooded_at_ = now;
    }
    follow(seen, is_full, now);
    return !flooded_;
  }

private:
  struct Look
  {
    std::uint64_t intercepted;
    std::uint64_t accepted;
    std::uint64_t syns; // whatever the verdict
  };

  Look look() const
  {
    return {.intercepted = table_.counter(Counter::verdicts_intercept),
            .accepted = table_.counter(Counter::connections_accepted),
            .syns = table_.counter(Counter::packets_queued)};
  }

  std::uint64_t waiting(const Look& seen) const
  {
    const auto& before = looks_[oldest_];
    const auto intercepted = seen.intercepted - before.intercepted;
    return intercepted - std::min(seen.accepted - before.accepted, intercepted);
  }

  // Remembers one look a second for as long as the window; of a time without SYNs, only the last one.
  void follow(const Look& seen, bool is_full, Time now)
  {
    constexpr auto pause = std::chrono::seconds{1};
    constexpr auto longest = std::chrono::minutes{1}; // then SYNs are let in again to see whether it was a flood
    const auto since = now - looked_at_;
    if (since < pause) {
      return;
    }
    looked_at_ = now;
    if (since >= pause * window_seconds) {
      looks_.fill(seen);
      flooded_ = false;
      return;
    }
    const auto& newest = looks_[(oldest_ + looks_.size() - 1) % looks_.size()];
    const auto rate = static_cast<double>(seen.syns - newest.syns) / std::chrono::duration<double>(since).count();
    flood_rate_ = std::max(flood_rate_, rate);
    flooded_ = flooded_ && (is_full || (rate > flood_rate_ / 4 && now - flooded_at_ < longest));
    looks_[oldest_] = seen;
    oldest_ = (oldest_ + 1) % looks_.size();
  }

  const ConnectionTable& table_;
  std::array<Look, window_seconds> looks_{};
  std::size_t oldest_{};
  Time looked_at_{};
  bool flooded_{};
  double flood_rate_{}; // the highest rate of this flood, in SYNs a second
  Time flooded_at_{};
};

} // namespace pepsal
