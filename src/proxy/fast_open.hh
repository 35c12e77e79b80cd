#pragma once

#include "config/config.hh"
#include "config/peers.hh"
#include "link/link.hh"
#include "shared/connection_table.hh"
#include "util/socket.hh"

namespace pepsal {

// What is believed of a client whose SYN carried data (RFC 7413). Config and table must outlive it.
class FastOpenTrust
{
public:
  FastOpenTrust(const Config& config, const ConnectionTable& table)
      : config_{config}
      , table_{table}
  {}

  // Whether an accepted client is who its address says. A SYN's source may be anybody's address: until its owner has
  // answered, nothing is dialled and nothing but the SYN-ACK is sent there. Clients behind a peer, and where there are
  // no peers those whose cookie the kernel has seen, need not be waited for; others for up to 15 s. `arrival` names the
  // peers across the link that it has come by.
  bool is_proved(const TCPSocket& client, const Endpoint& address, const PeerFilter& arrival) const;

  // Behind one that is up, or is not dialled from here.
  bool is_behind_peer(const Endpoint& client, const PeerFilter& arrival) const;

private:
  const Config& config_;
  const ConnectionTable& table_;
};

// A SYN to or from behind a peer carried data that were taken: there is a PEPsal across the satellite, which has as
// much room for what this one sends as this one has.
void expect_peer_window(TCPSocket& socket, const Link& link);

} // namespace pepsal
