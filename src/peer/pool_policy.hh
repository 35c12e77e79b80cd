#pragma once

#include <chrono>
#include <cstdint>

namespace pepsal {

// How many warm connections to keep ready for one peer: --warm-connections, doubled while bursts use all of them up,
// and back by halves in quiet. As a new one takes two round trips of a satellite, quiet is a minute and not seconds.
class PoolPolicy
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::uint32_t most = 128; // that bursts may bring it to, unless the option says more
  static constexpr auto quiet = std::chrono::seconds{60};

  explicit PoolPolicy(std::uint32_t least)
      : least_{least}
      , target_{least}
  {}

  // A connection was taken, after which `ready` are left. The last one's doubles the target.
  void taken(std::uint32_t ready, Time now);

  // How many to dial, with `ready` and `dialling` there are. One at a time while the peer is not known to be up.
  std::uint32_t missing(std::uint32_t ready, std::uint32_t dialling, bool up) const;

  // How many of the `ready` ones are to be given up, in quiet.
  std::uint32_t surplus(std::uint32_t ready, Time now);

  std::uint32_t target() const { return target_; }

private:
  std::uint32_t least_;
  std::uint32_t target_;
  Time shrink_at_{};
};

// When a peer that could not be reached is tried again: after a second, then twice as long each time, half a minute at
// most.
class RetryPolicy
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr auto first = std::chrono::seconds{1};
  static constexpr auto longest = std::chrono::seconds{32};

  void failed(Time now);
  void succeeded();
  bool may_try(Time now) const { return now >= next_; }
  Time next() const { return next_; }

private:
  std::chrono::seconds pause_{first};
  Time next_{};
};

} // namespace pepsal
