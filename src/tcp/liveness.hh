#pragma once

#include <chrono>
#include <optional>

#include "tcp/tcp_facts.hh"

namespace pepsal {

// Whether a leg's host is alive: one that has been probed and does not answer for the user timeout is dead; one that
// answers is alive, even if it has had no room for data for hours (RFC 9293 section 3.8.6.1). The kernel's
// TCP_USER_TIMEOUT counts the time during which a window stays closed as unanswered, however often its owner answers
// the probes, so it is not used for this.
class Liveness
{
public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Liveness(std::chrono::milliseconds user_timeout)
      : user_timeout_{user_timeout}
  {}

  // Evaluates the kernel's current state; false once the host is dead. To be called several times per user timeout.
  bool lives(const TcpFacts& facts, TimePoint now);

private:
  std::chrono::milliseconds user_timeout_;
  std::optional<TimePoint> asked_; // the first probe since the last answer, at the latest
};

// How many segments a leg's host sent unasked while the connection carried nothing for `span`, between `before` and
// `after`: its keepalives. The box answers these itself, so a NAT or firewall beyond it would never see one, and the
// kernel reports none; but it counts all segments, and those that answer the leg's own probes, one in `probe_interval`,
// are known by the time of the last answer. Probes that carry an old byte count as answers and appear as data.
std::uint32_t unasked_segments(const TcpFacts& before, const TcpFacts& after, std::chrono::milliseconds span,
                               std::chrono::seconds probe_interval);

// How often to probe a leg when the other leg's host has sent this many keepalives in `span`: at least as often as that
// host does, and at least every `usual`, the interval of the leg's own profile.
std::chrono::seconds followed_interval(std::chrono::milliseconds span, std::uint32_t keepalives,
                                       std::chrono::seconds usual);

} // namespace pepsal
