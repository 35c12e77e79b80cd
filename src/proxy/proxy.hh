#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <sys/types.h>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "dial/channel.hh"
#include "peer/peer_key.hh"
#include "peer/warm_queue.hh"
#include "proxy/session.hh"
#include "proxy/state_report.hh"
#include "shared/connection_table.hh"
#include "tcp/listener.hh"

namespace pepsal {

// What the manager gives a proxy's process, which has no other descriptors.
struct ProxyContext
{
  const Config& config;
  ConnectionTable& table;
  Owner self;
  int table_memory; // descriptor of the table's memory
  pid_t manager;
  const PeerKey* peer_key; // nullptr without --peer-key
  Confinement& confinement;
  Session::Memory& session_memory;
  Listener listener;
  StateReport report;
  std::vector<WarmQueue> warm_queues;  // by peer; to take connections from
  std::optional<LegHandover> handover; // to ask the dialler through; nothing without one
};

// The proxy's process: accepts --proxy-reuse connections one after another and serves each to its end. Returns 0 when
// done, or when retired while idle; an exception ends the process, so that the kernel resets what is open.
// SIGTERM retires it: it ends when it is next idle. When the manager dies, an idle proxy ends at once, and a busy one
// finishes its connection, holding a lock on its number by which the next manager recognizes it.
int run_proxy(ProxyContext context);

} // namespace pepsal
