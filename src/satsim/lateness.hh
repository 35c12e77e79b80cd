#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "satsim/units.hh"

namespace pepsal::satsim {

// How much later than scheduled packets were delivered.
class Lateness
{
public:
  void add(Time late);

  // The lateness that this share (0 to 1) of all packets did not exceed, to 10 us; above 20 ms, the maximum.
  Time quantile(double share) const;
  Time max() const { return max_; }

private:
  static constexpr Time bucket_width = std::chrono::microseconds{10};

  std::array<std::uint64_t, 2000> buckets_{};
  std::uint64_t count_{0};
  Time max_{};
};

} // namespace pepsal::satsim
