#pragma once

#include <chrono>
#include <cstdint>

namespace pepsal {

// How many idle proxies to keep for one listener: --spare-proxies, doubled while bursts use all of them up, and back by
// halves in quiet. The clock is the caller's.
class SparePolicy
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::uint32_t most = 128; // that bursts may bring it to, unless the option says more
  static constexpr auto quiet = std::chrono::seconds{10};
  static constexpr auto pause = std::chrono::milliseconds{100}; // between fillings that are not urgent

  explicit SparePolicy(std::uint32_t least)
      : least_{least}
      , target_{least}
  {}

  // Whether it is time to fork. Waiting until half of them are taken lets one wake-up of the manager do for many
  // connections.
  bool is_low(std::uint32_t idle) const { return idle <= few(); }
  std::uint32_t few() const { return target_ / 2; }

  bool is_met(std::uint32_t idle) const { return idle >= target_; }

  // How many to fork now, so that the target is met: when few are left, and in quiet times anyhow.
  std::uint32_t take_missing(std::uint32_t idle, Time now);

  // Follows the demand, by how many were idle at this look. Not to be asked before all were forked once.
  void observe(std::uint32_t idle, Time now);

  std::uint32_t target() const { return target_; }

private:
  std::uint32_t least_;
  std::uint32_t target_;
  Time shrink_at_{};
  Time fill_at_{};
};

// When to fork again after proxies have died without having served anybody: at once after a single death, then later
// each time (master(8) of Postfix does the same). A proxy that ends well after it has served ends the series.
class BackOff
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr auto first = std::chrono::milliseconds{50};
  static constexpr auto longest = std::chrono::milliseconds{1'000}; // soon after whatever killed them is over

  // Deaths while it waits already belong to the one that made it wait.
  void died(Time now);
  void served() { pause_ = {}; }

  bool may_fork(Time now) const { return now >= next_; }
  std::chrono::milliseconds pause() const { return pause_; } // after the last death

private:
  std::chrono::milliseconds pause_{};
  Time next_{};
};

} // namespace pepsal
