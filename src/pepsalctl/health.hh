#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/shared_segment.hh"
#include "util/packet_queues.hh"

namespace pepsal {

// Whether new connections are accelerated. The values are exit codes of pepsalctl health.
struct Health
{
  enum class State
  {
    ready,
    not_ready,
    draining
  };

  State state{};
  std::string reason{}; // why it is not ready

  std::string line() const; // "ready", "draining" or "not ready: REASON"
};

// Of a daemon whose network namespace the caller has entered. Waits a second at most for a proxy to become idle.
Health health_of(const SharedSegment& segment);

// The same by name: not ready when that instance does not run or may not be read. Enters its network namespace.
Health health_of(const std::string& instance);

// Netfilter's queues in the calling thread's network namespace; nothing when this process may not see them.
std::optional<std::vector<QueueFacts>> packet_queues();

// The queues that the daemon has queuers for.
std::vector<std::uint16_t> queues_of(const SharedSegment& segment);

} // namespace pepsal
