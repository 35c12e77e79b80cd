// How many idle proxies there should be, and when to fork again. Used by Proxies; nothing here can fail.

#include "manager/spare_policy.hh"

#include <algorithm>

namespace pepsal {

std::uint32_t SparePolicy::take_missing(std::uint32_t idle, Time now)
{
  if (is_met(idle) || (!is_low(idle) && now < fill_at_)) {
    return 0;
  }
  fill_at_ = now + pause;
  return target_ - idle;
}

void SparePolicy::observe(std::uint32_t idle, Time now)
{
  if (idle == 0) {
    target_ = std::min(target_ * 2, std::max(least_, most));
    shrink_at_ = now + quiet;
  } else if (now >= shrink_at_) {
    target_ = std::max(least_, target_ / 2);
    shrink_at_ = now + quiet;
  }
}

void BackOff::died(Time now)
{
  if (may_fork(now)) {
    pause_ = std::clamp(2 * pause_, first, longest);
    next_ = now + pause_;
  }
}

} // namespace pepsal
