#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/config.hh"
#include "peer/warm_queue.hh"
#include "shared/connection_table.hh"
#include "util/socket.hh"

namespace pepsal {

// The result of a server leg over a warm connection.
struct PeerLeg
{
  enum class End
  {
    connected,   // the far side has reached the server
    failed,      // it has not, or its connection broke; the client must be reset
    client_gone, // reset by the client meanwhile
    unused       // no warm connection was ready, or the one used has provably passed nothing on: dial
  };

  End end{End::unused};
  TCPSocket socket{};              // non-blocking, when connected
  std::uint64_t first_bytes{};     // of the client's bytes, taken from its socket and carried by it
  std::string reason{};            // for the closing line, when failed
  std::uint16_t error{};           // errno, when failed: of the far side's dial, or of the connection to it
  std::vector<std::byte> unsent{}; // when unused: what was taken from the client's socket, for the dial to carry
};

// Sends the client of `connection` (its accepted socket) over a warm connection of `queue`, which leads to `peer`: its
// real addresses in front, followed directly by what the client has sent so far and what it sends while the far side
// dials. Ends with the far side's answer, one round trip later. Never waits for a warm connection to become available.
// `hops` is how many the client's bytes have crossed before. Counts each warm connection used, each found dead, and
// each time there was none.
PeerLeg dial_by_peer(const Config& config, ConnectionTable& table, WarmQueue& queue, const Peer& peer,
                     const Connection& connection, const TCPSocket& client, const Link& link, std::uint8_t hops);

// Writes to a new connection what a warm one did not pass on. False if that fails or takes longer than
// --connect-timeout.
bool send_unsent(const Config& config, const TCPSocket& server, std::span<const std::byte> unsent);

} // namespace pepsal
