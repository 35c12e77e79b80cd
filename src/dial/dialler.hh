#pragma once

#include <span>

#include <sys/types.h>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "dial/channel.hh"
#include "shared/connection_table.hh"

namespace pepsal {

// What the dialler's process is given by the manager.
struct DiallerContext
{
  const Config& config;
  ConnectionTable& table; // its counters
  std::span<const DialChannel> queuers;
  const LegHandover& proxies;
  Confinement& confinement;
  pid_t manager;
};

// The dialler's process, one with --connect honest: reaches servers while queuers hold the SYNs of their clients, many
// at once, and hands each leg to the proxy that its client's connection comes to. One that no proxy asks for is reset
// after five seconds. Returns when it is told to end (SIGTERM); dies with the manager.
int run_dialler(DiallerContext context);

} // namespace pepsal
