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

// What a proxy's process is given by the manager; it has no other descriptors.
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
  std::vector<WarmQueue> warm_queues;  // by peer; to take from
  std::optional<LegHandover> handover; // to ask by; nothing without a dialler
};

// The proxy's process: accepts --proxy-reuse connections one after another and serves each to its end.
// Returns 0 when done or retired while idle; a connection that breaks ends the process by itself, so
// that the kernel resets what is open. SIGTERM retires it: it ends when it is next idle. When the
// manager dies an idle proxy ends at once, and a busy one finishes its connection, with a lock on its number by which
// the next manager knows it.
int run_proxy(ProxyContext context);

} // namespace pepsal
