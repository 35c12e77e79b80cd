// From the start to the last connection's end. Asked by the manager's loop; nothing here can fail.

#include "manager/lifecycle.hh"

namespace pepsal {

void Lifecycle::end(Time now, std::chrono::seconds patience)
{
  if (is_ending()) {
    deadline_ = now;
  } else {
    state_ = State::draining;
    deadline_ = now + patience;
  }
}

void Lifecycle::advance(Time now, std::uint32_t pending, std::uint32_t proxies)
{
  const bool late = is_ending() && now >= deadline_;
  if (state_ == State::draining && (pending == 0 || late)) {
    state_ = State::closing;
  } else if (state_ == State::closing && (proxies == 0 || late)) {
    state_ = State::cutting;
  }
}

} // namespace pepsal
