#pragma once

#include <cstdint>
#include <istream>
#include <vector>

namespace pepsal {

// The kernel's table of queues that programs listen to (NFQUEUE), of the namespace of whoever opens it, which takes
// root.
inline constexpr auto packet_queues_file = "/proc/thread-self/net/netfilter/nfnetlink_queue";

struct QueueFacts
{
  std::uint16_t number{};
  std::uint32_t waiting{};  // packets without a verdict
  std::uint64_t dropped{};  // as it was full, or as the program did not take them
  std::uint32_t sequence{}; // packets that were ever queued, and begins again behind the last number

  // Packets that were ever given a verdict, as `sequence` counts.
  std::uint32_t handled() const { return sequence - waiting; }
};

// What its text says. A line that makes no sense is left out.
std::vector<QueueFacts> read_packet_queues(std::istream& text);

} // namespace pepsal
