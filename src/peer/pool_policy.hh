#pragma once

#include <chrono>
#include <cstdint>

namespace pepsal {

// How many warm connections to keep ready for one peer: --warm-connections, doubled while bursts use them all up, and
// halved again step by step in quiet times. As a new one takes two round trips over the satellite, quiet means a minute
// rather than seconds.
class PoolPolicy
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::uint32_t most = 128; // upper limit for bursts, unless the option is higher
  static constexpr auto quiet = std::chrono::seconds{60};

  explicit PoolPolicy(std::uint32_t least)
      : least_{least}
      , target_{least}
  {}

  // A connection was taken, which leaves `ready`. Taking the last one doubles the target.
  void taken(std::uint32_t ready, Time now);

  // How many to dial, given that many `ready` and `dialling`. One at a time while the peer is not known to be up.
  std::uint32_t missing(std::uint32_t ready, std::uint32_t dialling, bool up) const;

  // How many of the `ready` ones to give up, in quiet times.
  std::uint32_t surplus(std::uint32_t ready, Time now);

  std::uint32_t target() const { return target_; }

private:
  std::uint32_t least_;
  std::uint32_t target_;
  Time shrink_at_{};
};

// When to try a peer again that could not be reached: after a second, then after twice as long each time, up to half a
// minute.
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
