#pragma once

#include <cstdint>

#include "shared/shared_segment.hh"

namespace pepsal {

// How many processes the daemon can still start: by its roster, kernel.pid_max, kernel.threads-max and its cgroup's
// pids.max, whichever is the scarcest.
std::uint64_t free_processes(const SharedSegment& segment);

} // namespace pepsal
