#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "shared/shared_segment.hh"

namespace pepsal {

// What a metrics server remembers from one answer to the next. A connection that ends while it is looked at may briefly
// count twice; if the counter then went back, Prometheus would take it for a new daemon's.
class MetricMemory
{
public:
  // The value, or the largest one seen since that manager started.
  std::uint64_t rising(std::int32_t manager, Counter counter, std::uint64_t value);

private:
  std::int32_t manager_{};
  std::array<std::uint64_t, counter_rows.size()> largest_{};
};

// All metrics, in the Prometheus text format, of a daemon whose network namespace the caller has entered. Throws
// SystemError if the kernel does not report its sockets or shapers.
std::string metrics_of(const SharedSegment& segment, MetricMemory& memory);

// The same by name; only a few if that instance is not running.
std::string metrics_of(const std::string& instance, MetricMemory& memory);

} // namespace pepsal
