// Reads netfilter's queues. Called by the manager, which watches its queuers, and by pepsalctl. Nothing here can fail.

#include "util/packet_queues.hh"

#include <sstream>
#include <string>

namespace pepsal {

// Columns as printed by the kernel's net/netfilter/nfnetlink_queue.c: queue, listener's port, packets waiting, copy
// mode and range, dropped because the queue was full, dropped because the listener did not take them, last packet's
// number, 1.
std::vector<QueueFacts> read_packet_queues(std::istream& text)
{
  std::vector<QueueFacts> result;
  for (std::string line; std::getline(text, line);) {
    std::istringstream columns{line};
    QueueFacts queue;
    std::uint64_t skipped = 0;
    std::uint64_t full = 0;
    std::uint64_t not_taken = 0;
    if (columns >> queue.number >> skipped >> queue.waiting >> skipped >> skipped >> full >> not_taken >>
        queue.sequence) {
      queue.dropped = full + not_taken;
      result.push_back(queue);
    }
  }
  return result;
}

} // namespace pepsal
