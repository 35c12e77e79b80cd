#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "shared/shared_segment.hh"

namespace pepsal {

// What a server of metrics remembers from one answer to the next. A connection that ends while it is looked at may
// count twice for a moment; a counter that then went back would look to Prometheus like a new daemon's.
class MetricMemory
{
public:
  // The value, or the largest seen since that manager started.
  std::uint64_t rising(std::int32_t manager, Counter counter, std::uint64_t value);

private:
  std::int32_t manager_{};
  std::array<std::uint64_t, counter_rows.size()> largest_{};
};

// Everything, in the text format of Prometheus, of a daemon whose network namespace the caller has entered. Throws
// SystemError when the kernel does not tell of its sockets or shapers.
std::string metrics_of(const SharedSegment& segment, MetricMemory& memory);

// The same by name, which is little when that instance does not run.
std::string metrics_of(const std::string& instance, MetricMemory& memory);

} // namespace pepsal
