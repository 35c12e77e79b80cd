#pragma once

#include <chrono>
#include <optional>

#include "tcp/tcp_facts.hh"

namespace pepsal {

// Whether a leg's host lives: one that is asked and does not answer for the user timeout is dead; one that answers
// lives, even if it has had no room for data for hours (RFC 9293 section 3.8.6.1). The kernel's TCP_USER_TIMEOUT counts
// the time in which a window stays closed against its owner, however often that answers the probes, so it is not used
// for this.
class Liveness
{
public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Liveness(std::chrono::milliseconds user_timeout)
      : user_timeout_{user_timeout}
  {}

  // Takes in what the kernel knows now; false once the host is dead. To be called some times in a user timeout.
  bool lives(const TcpFacts& facts, TimePoint now);

private:
  std::chrono::milliseconds user_timeout_;
  std::optional<TimePoint> asked_; // the first question since the last answer, at the latest
};

// How many segments a leg's host sent unasked while the connection carried nothing for `span`, between `before` and
// `after`: its keepalives. The box answers these itself, so that a NAT or firewall beyond it would never see one, and
// the kernel tells of none; but it counts all segments, and those that answer the leg's own probes, one in
// `probe_interval`, are known by the time of the last answer. Probes that carry an old byte count as answers and are
// known as data.
std::uint32_t unasked_segments(const TcpFacts& before, const TcpFacts& after, std::chrono::milliseconds span,
                               std::chrono::seconds probe_interval);

// How often a leg is to be probed when the other leg's host has sent so many keepalives in `span`: at least as often
// as that host does, at most `usual`, which is the interval of the leg's own profile.
std::chrono::seconds followed_interval(std::chrono::milliseconds span, std::uint32_t keepalives,
                                       std::chrono::seconds usual);

} // namespace pepsal
