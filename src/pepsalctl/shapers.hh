#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pepsal {

// A queueing discipline that limits the rate of an interface, as set up by pepsal-satlink, with everything below it.
struct Shaper
{
  std::string interface;
  std::string kind;                // "htb", "tbf", "hfsc", "cake"
  std::uint64_t rate{};            // bytes a second; 0 if the kind does not report it (all but htb)
  std::uint64_t sent_bytes{};      // since it was set up
  std::uint64_t dropped_packets{}; // since it was set up
  std::uint32_t queued_bytes{};
  std::uint32_t queued_packets{};
};

// Those of the calling thread's network namespace. Needs no privilege. Throws SystemError if the kernel does not report
// them.
std::vector<Shaper> shapers();

// The same from one datagram of the kernel's answer to RTM_GETQDISC, and one for each interface to RTM_GETTCLASS.
std::vector<Shaper> shapers_in(std::span<const std::byte> qdiscs, std::span<const std::byte> classes);

} // namespace pepsal
