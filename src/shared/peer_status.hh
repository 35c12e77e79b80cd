#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "pepsal/connection.hh"

namespace pepsal {

// Why a peer is not up. Kept as a number in shared memory; describe() has the words.
enum class PeerProblem : std::uint8_t
{
  none,
  not_tried, // the daemon has only just started
  no_route,  // or not by a satellite interface
  refused,   // nobody listens: no PEPsal, or one without --peer
  timed_out,
  unreachable,
  closed, // it ended the connection before the handshake was over
  no_pepsal,
  other_version,
  key_required, // the peer has a key and this box has none
  key_unknown,  // the other way round
  key_differs,
  system, // no descriptor or no memory here
  count
};

std::string_view describe(PeerProblem problem);

// One peer as its keeper sees it; for pepsalctl. Only the keeper writes, but for the address, which the manager writes
// before it starts one.
struct PeerStatus
{
  Endpoint address;
  std::atomic<bool> up;
  std::atomic<PeerProblem> problem;
  std::atomic<std::int64_t> since_ns; // CLOCK_BOOTTIME of the last change from or to up
  std::atomic<std::uint32_t> ready;   // warm connections that may be used now
  std::atomic<std::uint32_t> target;  // as many as there should be
};

} // namespace pepsal
