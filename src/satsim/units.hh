#pragma once

#include <chrono>
#include <cstdint>

namespace pepsal::satsim {

// A point in time of the link: nanoseconds of the monotonic clock, or of a test's own clock.
using Time = std::chrono::nanoseconds;

using BitsPerSecond = std::int64_t;

} // namespace pepsal::satsim
