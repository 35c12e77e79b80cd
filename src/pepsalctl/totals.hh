#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "shared/shared_segment.hh"

namespace pepsal {

// A counter's value; bytes with those of connections that have not ended, which the daemon counts at their end.
std::uint64_t running_value(const SharedSegment& segment, Counter counter);

// How many processes of the daemon do what: "idle" and "busy" proxies, "starting", "waiting" (for a peer's client),
// "queuer", "keeper", "dialler".
std::map<std::string, std::uint32_t> processes_of(const SharedSegment& segment);

// How many connections arrived on which interface, by name.
std::map<std::string, std::uint32_t> interfaces_of(const SharedSegment& segment);

} // namespace pepsal
