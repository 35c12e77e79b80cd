#pragma once

#include <span>

#include <sys/types.h>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "dial/channel.hh"
#include "shared/connection_table.hh"

namespace pepsal {

// What the manager passes to the dialler's process.
struct DiallerContext
{
  const Config& config;
  ConnectionTable& table; // for its counters
  std::span<const DialChannel> queuers;
  const LegHandover& proxies;
  Confinement& confinement;
  pid_t manager;
};

// The dialler's process, of which there is one with --connect honest. It dials servers while queuers hold the SYNs of
// their clients, many at once, and hands each leg to the proxy that gets the client's connection. A leg that no proxy
// asks for is reset after five seconds. Returns when told to end (SIGTERM); dies with the manager.
int run_dialler(DiallerContext context);

} // namespace pepsal
