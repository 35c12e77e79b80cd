#pragma once

#include <cstdint>

#include "shared/shared_segment.hh"

namespace pepsal {

// How many processes the daemon can still start, by whichever is scarcest: its roster, kernel.pid_max,
// kernel.threads-max or its cgroup's pids.max.
std::uint64_t free_processes(const SharedSegment& segment);

} // namespace pepsal
