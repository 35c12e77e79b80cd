#pragma once

#include <cstdint>
#include <istream>
#include <vector>

namespace pepsal {

// The kernel's table of queues that programs listen to (NFQUEUE), in the namespace of the process that opens it, which
// must be root.
inline constexpr auto packet_queues_file = "/proc/thread-self/net/netfilter/nfnetlink_queue";

struct QueueFacts
{
  std::uint16_t number{};
  std::uint32_t waiting{};  // packets without a verdict
  std::uint64_t dropped{};  // because it was full, or because the program did not take them
  std::uint32_t sequence{}; // number of packets ever queued; wraps around

  // Packets ever given a verdict, counted like `sequence`.
  std::uint32_t handled() const { return sequence - waiting; }
};

// Parses its text. Malformed lines are skipped.
std::vector<QueueFacts> read_packet_queues(std::istream& text);

} // namespace pepsal
