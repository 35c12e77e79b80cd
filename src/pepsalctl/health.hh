#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/shared_segment.hh"
#include "util/packet_queues.hh"

namespace pepsal {

// Whether new connections are accelerated. The values are the exit codes of pepsalctl health.
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

// For a daemon whose network namespace the caller has entered. Waits up to a second for a proxy to become idle.
Health health_of(const SharedSegment& segment);

// The same by name: not ready if that instance is not running or may not be read. Enters its network namespace.
Health health_of(const std::string& instance);

// Netfilter's queues in the calling thread's network namespace; nothing if this process may not see them.
std::optional<std::vector<QueueFacts>> packet_queues();

// The queues for which the daemon has queuers.
std::vector<std::uint16_t> queues_of(const SharedSegment& segment);

} // namespace pepsal
