#pragma once

#include "config/config.hh"
#include "config/peers.hh"
#include "link/link.hh"
#include "shared/connection_table.hh"
#include "util/socket.hh"

namespace pepsal {

// What to believe about a client whose SYN carried data (RFC 7413). Config and table must outlive it.
class FastOpenTrust
{
public:
  FastOpenTrust(const Config& config, const ConnectionTable& table)
      : config_{config}
      , table_{table}
  {}

  // Whether an accepted client really has its address. The source address of a SYN can be forged: until its owner has
  // answered, nothing is dialled and nothing but the SYN-ACK is sent there. There is no need to wait for clients behind
  // a peer and, if there are no peers, for those whose cookie the kernel has verified; others are waited for up to 15
  // s. `arrival` selects the peers across the link on which it arrived.
  bool is_proved(const TCPSocket& client, const Endpoint& address, const PeerFilter& arrival) const;

  // Whether it is behind a peer that is up, or that is not dialled from here.
  bool is_behind_peer(const Endpoint& client, const PeerFilter& arrival) const;

private:
  const Config& config_;
  const ConnectionTable& table_;
};

// For a SYN to or from behind a peer whose data were accepted: there is a PEPsal at the other end of the satellite
// link, which has as much room for what this one sends as this one has.
void expect_peer_window(TCPSocket& socket, const Link& link);

} // namespace pepsal
