#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <vector>

namespace pepsal {

// A queue of netfilter's that a program listens to (NFQUEUE).
struct PacketQueue
{
  std::uint16_t number{};
  std::uint64_t waiting{}; // packets without a verdict
  std::uint64_t dropped{}; // as it was full, or as the program did not take them
};

// Those of the calling thread's network namespace; nothing when this process may not see them, which takes root.
std::optional<std::vector<PacketQueue>> packet_queues();

// The same out of the text of /proc/net/netfilter/nfnetlink_queue.
std::vector<PacketQueue> read_packet_queues(std::istream& text);

} // namespace pepsal
