#pragma once

#include <sys/types.h>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "peer/peer_key.hh"
#include "peer/warm_queue.hh"
#include "pepsal/peer_status.hh"
#include "shared/connection_table.hh"

namespace pepsal {

// What a keeper's process is given by the manager.
struct KeeperContext
{
  const Config& config;
  const Peer& peer;
  const PeerKey* key;     // nullptr without --peer-key
  ConnectionTable& table; // its counters
  PeerStatus& status;
  WarmQueue& queue;
  pid_t manager;
  Confinement& confinement;
};

// A keeper's process, one for each peer: keeps warm connections to it ready in `queue`, as many as PoolPolicy says,
// sees them end, and says in `status` and once in the log whether the peer is up. Connections that a keeper before this
// one had left in the queue are taken over. Ends with the manager, and by SIGTERM with status 0.
int run_keeper(KeeperContext context);

} // namespace pepsal
