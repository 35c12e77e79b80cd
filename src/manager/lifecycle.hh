#pragma once

#include <chrono>
#include <cstdint>

namespace pepsal {

// The daemon's states, each of which follows the one before it, except after stay(). The caller provides the clock.
class Lifecycle
{
public:
  using Time = std::chrono::steady_clock::time_point;

  enum class State
  {
    starting,
    serving,
    leaving,  // serves, but nobody should rely on it any more: whatever watches it sends new connections elsewhere
    draining, // new SYNs bypass; those intercepted before still find a proxy
    closing,  // nobody listens any more; existing connections continue
    cutting   // time is up: what is left is killed
  };

  State state() const { return state_; }
  bool is_leaving() const { return state_ >= State::leaving; }
  bool is_ending() const { return state_ >= State::draining; }

  void start_serving() { state_ = State::serving; }

  // Told to drain: serves for another `grace`, and then ends within `patience`. Ignored while it is ending.
  void leave(Time now, std::chrono::seconds grace, std::chrono::seconds patience);

  // Cancels leave() or end() as long as the daemon still listens. False if it is too late.
  bool stay();

  // Told to end: does so within `patience`; told again, at once.
  void end(Time now, std::chrono::seconds patience);

  // Moves to the next state when it is due, given the number of SYNs whose connection may still come and of proxies
  // left.
  void advance(Time now, std::uint32_t pending, std::uint32_t proxies);

private:
  State state_{State::starting};
  Time grace_ends_{};
  std::chrono::seconds patience_{};
  Time deadline_{};
};

} // namespace pepsal
