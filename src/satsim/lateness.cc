// Statistics of the emulator's own timing error. Used by the emulator, printed at its end.

#include "satsim/lateness.hh"

#include <algorithm>
#include <cmath>

namespace pepsal::satsim {

void Lateness::add(Time late)
{
  late = std::max(late, Time{});
  const auto bucket = static_cast<std::size_t>(late / bucket_width);
  if (bucket < buckets_.size()) {
    ++buckets_[bucket];
  }
  ++count_;
  max_ = std::max(max_, late);
}

Time Lateness::quantile(double share) const
{
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) {
      return std::min(bucket_width * (static_cast<std::int64_t>(i) + 1), max_);
    }
  }
  return max_;
}

} // namespace pepsal::satsim
