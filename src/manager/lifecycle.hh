#pragma once

#include <chrono>
#include <cstdint>

namespace pepsal {

// The daemon's states, each of which follows the one before it, but for a stay(); the clock is the caller's.
class Lifecycle
{
public:
  using Time = std::chrono::steady_clock::time_point;

  enum class State
  {
    starting,
    serving,
    leaving,  // serves, but nobody should count on it any more: whoever watches it sends new connections elsewhere
    draining, // new SYNs bypass; those intercepted before still find a proxy
    closing,  // nobody listens any more; connections in hand go on
    cutting   // it is over: what is left is killed
  };

  State state() const { return state_; }
  bool is_leaving() const { return state_ >= State::leaving; }
  bool is_ending() const { return state_ >= State::draining; }

  void start_serving() { state_ = State::serving; }

  // Told to drain: serves for `grace` yet, and then ends within `patience`. Not while it is ending.
  void leave(Time now, std::chrono::seconds grace, std::chrono::seconds patience);

  // Takes back what leave() or end() has begun, as long as it still listens. False when it is too late.
  bool stay();

  // Told to end: within `patience`. Told again, at once.
  void end(Time now, std::chrono::seconds patience);

  // The next state, with so many SYNs whose connection may still come and so many proxies left.
  void advance(Time now, std::uint32_t pending, std::uint32_t proxies);

private:
  State state_{State::starting};
  Time grace_ends_{};
  std::chrono::seconds patience_{};
  Time deadline_{};
};

} // namespace pepsal
