#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "pepsal/connection.hh"
#include "pepsal/shared_flag.hh"

namespace pepsal {

// Why a peer is not up. Kept as a number in shared memory; describe() has the words.
enum class PeerProblem : std::uint8_t
{
  none,
  not_tried, // the daemon has only just started
  no_route,  // or not through a satellite interface
  refused,   // nobody listens: no PEPsal, or one without --peer
  timed_out,
  unreachable,
  closed, // it ended the connection before the handshake was over
  no_pepsal,
  other_version,
  key_required, // the peer has a key and this box has none
  key_unknown,  // the other way round
  key_differs,
  system,     // no descriptor or no memory here
  not_wanted, // --warm-connections 0
  count
};

// The words for what keeps a peer from being up, for the log and pepsalctl.
constexpr std::string_view describe(PeerProblem problem)
{
  constexpr std::array<std::string_view, static_cast<std::size_t>(PeerProblem::count)> words{
      "",
      "it has not answered yet",
      "no satellite interface leads to it",
      "it refuses connections: no PEPsal runs there, or it has no --peer",
      "it does not answer",
      "it is unreachable",
      "it closed the connection: it has no --peer for this box, or its --peer-key differs",
      "what answers there is not PEPsal",
      "it speaks another version of the peers' protocol",
      "it has a --peer-key and this box has none",
      "it has no --peer-key and this box has one",
      "its --peer-key differs",
      "this box has no descriptors or memory left for it",
      "this box keeps no warm connections to it: --warm-connections is 0",
  };
  const auto index = static_cast<std::size_t>(problem); // from shared memory: bounded here
  return index < words.size() ? words[index] : "unknown";
}

// One peer as its keeper sees it; for pepsalctl. Only the keeper writes it, except that the manager sets `address` and
// `present` before it starts the keeper.
struct PeerStatus
{
  static constexpr std::size_t most_peers = 64;

  Endpoint address;
  SharedFlag present; // this entry is in use
  SharedFlag up;
  std::atomic<PeerProblem> problem;
  std::atomic<std::int64_t> since_ns; // CLOCK_BOOTTIME of the last change of `up`
  std::atomic<std::uint32_t> ready;   // warm connections that can be used now
  std::atomic<std::uint32_t> target;  // how many there should be
};

} // namespace pepsal
