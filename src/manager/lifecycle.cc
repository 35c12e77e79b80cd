// From the start to the end of the last connection. Used by the manager's loop; nothing here can fail.

#include "manager/lifecycle.hh"

namespace pepsal {

void Lifecycle::leave(Time now, std::chrono::seconds grace, std::chrono::seconds patience)
{
  if (!is_ending()) {
    state_ = State::leaving;
    grace_ends_ = now + grace;
    patience_ = patience;
  }
}

bool Lifecycle::stay()
{
  if (state_ == State::leaving || state_ == State::draining) {
    state_ = State::serving;
  }
  return state_ == State::serving;
}

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
  if (state_ == State::leaving && now >= grace_ends_) {
    end(now, patience_);
    return;
  }
  const bool late = is_ending() && now >= deadline_;
  if (state_ == State::draining && (pending == 0 || late)) {
    state_ = State::closing;
  } else if (state_ == State::closing && (proxies == 0 || late)) {
    state_ = State::cutting;
  }
}

} // namespace pepsal
