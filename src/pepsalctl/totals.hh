#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "shared/shared_segment.hh"

namespace pepsal {

// A counter's value. Bytes include those of connections that have not ended yet, which the daemon counts only at their
// end.
std::uint64_t running_value(const SharedSegment& segment, Counter counter);

// The number of the daemon's processes by what they do: "idle" and "busy" proxies, "starting", "waiting" (for a peer's
// client), "queuer", "keeper", "dialler".
std::map<std::string, std::uint32_t> processes_of(const SharedSegment& segment);

// The number of connections that arrived on each interface, by name.
std::map<std::string, std::uint32_t> interfaces_of(const SharedSegment& segment);

} // namespace pepsal
