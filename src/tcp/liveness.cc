// Judges a leg by the kernel's counts: whether its host is alive, and how often the other leg must be kept alive.
// Called by a session while it waits. Nothing here can fail.

#include "tcp/liveness.hh"

#include <algorithm>

namespace pepsal {

bool Liveness::lives(const TcpFacts& facts, TimePoint now)
{
  if (asked_ && now - facts.since_heard > *asked_) {
    asked_.reset();
  }
  const bool data_unanswered = facts.unacknowledged_segments > 0 && facts.since_data_sent < facts.since_heard;
  if (!facts.probes_unanswered && !data_unanswered) {
    asked_.reset();
    return true;
  }
  if (!asked_) {
    asked_ = data_unanswered ? now - facts.since_data_sent : now;
  }
  return now - *asked_ < user_timeout_;
}

std::uint32_t unasked_segments(const TcpFacts& before, const TcpFacts& after, std::chrono::milliseconds span,
                               std::chrono::seconds probe_interval)
{
  const auto heard = after.segments_received - before.segments_received;
  const auto old_bytes = after.data_segments_received - before.data_segments_received;
  const auto answers =
      after.since_heard < span ? static_cast<std::uint32_t>((span - after.since_heard) / probe_interval) + 1 : 0;
  return std::max(heard > answers ? heard - answers : 0, old_bytes);
}

std::chrono::seconds followed_interval(std::chrono::milliseconds span, std::uint32_t keepalives,
                                       std::chrono::seconds usual)
{
  constexpr std::chrono::seconds shortest{1}; // of TCP_KEEPIDLE and TCP_KEEPINTVL (tcp(7))
  if (keepalives == 0) {
    return usual;
  }
  return std::clamp(std::chrono::duration_cast<std::chrono::seconds>(span / (keepalives + 1)), shortest, usual);
}

} // namespace pepsal
