#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "util/file_descriptor.hh"
#include "util/packet_queues.hh"

namespace pepsal {

// Finds queues whose queuer gives no verdict although packets wait for one: it hangs, or somebody has stopped it.
class QueueWatch
{
public:
  using Time = std::chrono::steady_clock::time_point;

  // Longer than a queuer holds a SYN on purpose (--connect honest).
  static constexpr std::chrono::seconds patience{6};

  // Opens the kernel's table of queues, or takes the descriptor of a program before this one. Only root can open it:
  // without it nothing is ever found.
  void open(int inherited);
  int descriptor() const { return table_.number(); } // -1: there is none

  // The queues of which that is so now.
  std::vector<std::uint16_t> look(Time now);

  // The same with what the kernel says.
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
