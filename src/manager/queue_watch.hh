#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "util/file_descriptor.hh"
#include "util/packet_queues.hh"

namespace pepsal {

// Finds queues whose queuer gives no verdicts although packets wait for them: it hangs, or has been stopped.
class QueueWatch
{
public:
  using Time = std::chrono::steady_clock::time_point;

  // Longer than a queuer deliberately holds a SYN (--connect honest).
  static constexpr std::chrono::seconds patience{6};

  // Opens the kernel's table of queues, or takes over the descriptor `inherited` from an earlier program. Only root can
  // open it; without it, look() never finds anything.
  void open(int inherited);
  int descriptor() const { return table_.number(); } // -1: none

  // The queues whose queuer is stuck now.
  std::vector<std::uint16_t> look(Time now);

  // The same, given the kernel's figures.
  std::vector<std::uint16_t> look(std::span<const QueueFacts> queues, Time now);

private:
  struct Seen
  {
    std::uint32_t handled;
    Time since;
  };

  FileDescriptor table_;
  std::map<std::uint16_t, Seen> seen_; // queues in which packets wait
};

} // namespace pepsal
