// How many warm connections there should be, and when to try again. Used by a peer's keeper; nothing here can fail. The
// caller provides the clock.

#include "peer/pool_policy.hh"

#include <algorithm>

namespace pepsal {

void PoolPolicy::taken(std::uint32_t ready, Time now)
{
  if (ready == 0) {
    target_ = std::min(target_ * 2, std::max(least_, most));
    shrink_at_ = now + quiet;
  }
}

std::uint32_t PoolPolicy::missing(std::uint32_t ready, std::uint32_t dialling, bool up) const
{
  const auto wanted = up ? target_ : std::min<std::uint32_t>(target_, 1);
  return wanted - std::min(wanted, ready + dialling);
}

std::uint32_t PoolPolicy::surplus(std::uint32_t ready, Time now)
{
  if (target_ > least_ && now >= shrink_at_) {
    target_ = std::max(least_, target_ / 2);
    shrink_at_ = now + quiet;
  }
  return ready - std::min(ready, target_);
}

void RetryPolicy::failed(Time now)
{
  next_ = now + pause_;
  pause_ = std::min(pause_ * 2, longest);
}

void RetryPolicy::succeeded()
{
  pause_ = first;
  next_ = {};
}

} // namespace pepsal
