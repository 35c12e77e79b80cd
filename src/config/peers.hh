#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/endpoint.hh"
#include "util/prefix.hh"

namespace pepsal {

// The PEPsal on the box at the other end of the satellite link, and the destinations behind it.
struct Peer
{
  Endpoint address;               // with the port of its warm connections
  std::vector<Prefix> prefixes{}; // empty: everything reached through its interface

  bool operator==(const Peer&) const = default;
};

struct PeerOptions
{
  static constexpr std::size_t most_peers = 64; // as many as the shared table shows

  std::vector<Peer> peers{};
  std::uint16_t port{}; // of warm connections, on both boxes; 0 until parsing has set it to the one after --port
  std::uint32_t warm_connections{8}; // kept ready for each peer
  std::string key_file{};            // empty: any host with a peer's address is trusted

  bool operator==(const PeerOptions&) const = default;
};

// Reads "ADDRESS[,PREFIX…]". Throws std::invalid_argument with one line that names the word and what is allowed.
Peer parse_peer(std::string_view text);

// Fills in the ports. Throws std::invalid_argument with one line if two peers have the same address, there are too
// many, or the port is --port's.
void complete_peers(PeerOptions& options, std::uint16_t listening_port);

// Selects the peers to consider; an empty one means all.
using PeerFilter = std::function<bool(const Peer&)>;

// The peer behind which a destination lies: the longest matching prefix wins, and the first of equals. Nothing if it is
// behind none. `filter` is only called for peers that would be chosen.
std::optional<std::size_t> choose_peer(const std::vector<Peer>& peers, const Endpoint& destination,
                                       const PeerFilter& filter = {});

// The peer with this address, whatever its port.
std::optional<std::size_t> find_peer(const std::vector<Peer>& peers, const Endpoint& address);

} // namespace pepsal
