#pragma once

#include <sys/types.h>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "peer/peer_key.hh"
#include "peer/warm_queue.hh"
#include "pepsal/peer_status.hh"
#include "shared/connection_table.hh"

namespace pepsal {

// What the manager passes to a keeper's process.
struct KeeperContext
{
  const Config& config;
  const Peer& peer;
  const PeerKey* key;     // nullptr without --peer-key
  ConnectionTable& table; // for its counters
  PeerStatus& status;
  WarmQueue& queue;
  pid_t manager;
  Confinement& confinement;
};

// A keeper's process, one for each peer. It keeps warm connections to the peer ready in `queue`, as many as PoolPolicy
// says, notices when they end, and reports in `status` and, once for each change, in the log whether the peer is up. It
// takes over connections that an earlier keeper left in the queue. Ends with the manager, and on SIGTERM with status 0.
int run_keeper(KeeperContext context);

} // namespace pepsal
