// Reads netfilter's queues from /proc. Called by metrics and health. Nothing here fails.

#include "pepsalctl/packet_queues.hh"

#include <fstream>
#include <sstream>
#include <string>

namespace pepsal {

// Columns as the kernel's net/netfilter/nfnetlink_queue.c prints them: queue, listener's port, packets waiting, copy
// mode and range, dropped as the queue was full, dropped as the listener did not take them, next packet's number, 1.
std::vector<PacketQueue> read_packet_queues(std::istream& text)
{
  std::vector<PacketQueue> result;
  for (std::string line; std::getline(text, line);) {
    std::istringstream columns{line};
    PacketQueue queue;
    std::uint64_t skipped = 0;
    std::uint64_t full = 0;
    std::uint64_t not_taken = 0;
    if (columns >> queue.number >> skipped >> queue.waiting >> skipped >> skipped >> full >> not_taken) {
      queue.dropped = full + not_taken;
      result.push_back(queue);
    }
  }
  return result;
}

std::optional<std::vector<PacketQueue>> packet_queues()
{
  std::ifstream file{"/proc/thread-self/net/netfilter/nfnetlink_queue"};
  return file.is_open() ? std::optional{read_packet_queues(file)} : std::nullopt;
}

} // namespace pepsal
