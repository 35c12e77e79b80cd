// The words for what keeps a peer from being up. Used by the keeper's log and by pepsalctl.

#include "shared/peer_status.hh"

#include <array>

namespace pepsal {

std::string_view describe(PeerProblem problem)
{
  static constexpr std::array<std::string_view, static_cast<std::size_t>(PeerProblem::count)> words{
      "",
      "it has not answered yet",
      "no satellite interface leads to it",
      "it refuses connections: no PEPsal runs there, or it has no --peer for this box",
      "it does not answer",
      "it is unreachable",
      "it closed the connection: it has no --peer for this box, or its --peer-key is another one",
      "what answers there is no PEPsal",
      "it speaks another version of the peers' protocol",
      "it has a --peer-key and this box has none",
      "it has no --peer-key and this box has one",
      "its --peer-key is another one",
      "this box has no descriptors or memory left for it",
  };
  const auto index = static_cast<std::size_t>(problem); // from shared memory: bounded here
  return index < words.size() ? words[index] : "unknown";
}

} // namespace pepsal
