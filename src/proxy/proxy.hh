#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>

#include <sys/types.h>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "dial/channel.hh"
#include "peer/peer_key.hh"
#include "peer/warm_queue.hh"
#include "proxy/session.hh"
#include "shared/connection_table.hh"
#include "tcp/listener.hh"

namespace pepsal {

// What a proxy's process is given by the manager.
struct ProxyContext
{
  const Config& config;
  ConnectionTable& table;
  Listener& listener;
  Owner self;
  int table_memory; // descriptor of the table's memory
  pid_t manager;
  std::function<void(ProcessState)> set_state; // shows the manager whether this proxy is idle or busy
  const PeerKey* peer_key;                     // nullptr without --peer-key
  std::span<WarmQueue> warm_queues;            // by peer
  Confinement& confinement;
  const LegHandover* handover; // nullptr without a dialler
  Session::Memory& session_memory;
  std::function<void()> let_go; // closes all that leads to other processes, when no other connection follows
};

// The proxy's process: accepts --proxy-reuse connections one after another and serves each to its end.
// Returns 0 when done or retired while idle; a connection that breaks ends the process by itself, so
// that the kernel resets what is open. SIGTERM retires it: it ends when it is next idle. When the
// manager dies an idle proxy ends at once, and a busy one finishes its connection, with a lock on its number by which
// the next manager knows it.
int run_proxy(ProxyContext context);

} // namespace pepsal
