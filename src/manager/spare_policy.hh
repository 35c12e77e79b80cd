#pragma once

#include <chrono>
#include <cstdint>

namespace pepsal {

// How many idle proxies to keep for one listener: --spare-proxies, doubled while bursts use them all up, and halved
// again step by step in quiet times. The caller provides the clock.
class SparePolicy
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::uint32_t most = 128; // upper limit for bursts, unless the option is higher
  static constexpr auto quiet = std::chrono::seconds{10};
  static constexpr auto pause = std::chrono::milliseconds{100}; // between refills that are not urgent

  explicit SparePolicy(std::uint32_t least)
      : least_{least}
      , target_{least}
  {}

  // Whether it is time to fork. Waiting until half of them are taken lets one wake-up of the manager serve many
  // connections.
  bool is_low(std::uint32_t idle) const { return idle <= few(); }
  std::uint32_t few() const { return target_ / 2; }

  bool is_met(std::uint32_t idle) const { return idle >= target_; }

  // How many to fork now to reach the target: when few are left, and in any case in quiet times.
  std::uint32_t take_missing(std::uint32_t idle, Time now);

  // Adapts to demand, by how many were idle at this look. Must not be called before all have been forked once.
  void observe(std::uint32_t idle, Time now);

  std::uint32_t target() const { return target_; }

private:
  std::uint32_t least_;
  std::uint32_t target_;
  Time shrink_at_{};
  Time fill_at_{};
};

// When to fork again after proxies have died without having served a connection: at once after a single death, then
// after growing pauses (as Postfix's master(8) does). A proxy that ends normally after it has served ends the series.
class BackOff
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr auto first = std::chrono::milliseconds{50};
  static constexpr auto longest = std::chrono::milliseconds{1'000}; // to resume soon after the cause is gone

  // Deaths during the pause belong to the death that caused it.
  void died(Time now);
  void served() { pause_ = {}; }

  bool may_fork(Time now) const { return now >= next_; }
  std::chrono::milliseconds pause() const { return pause_; } // after the last death

private:
  std::chrono::milliseconds pause_{};
  Time next_{};
};

} // namespace pepsal
