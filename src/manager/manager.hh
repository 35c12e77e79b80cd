#pragma once

#include <functional>
#include <optional>

#include "config/config.hh"
#include "manager/handover.hh"
#include "manager/restart.hh"

namespace pepsal {

// How a manager starts, and which program follows it.
struct ManagerStart
{
  Config config;
  // Reads the configuration again, for a reload; if it throws, the old one stays.
  std::function<Config()> read_configuration;
  std::function<void()> on_ready; // called once, when connections can be served
  Program program;                // executed in place of this one on a restart
  std::optional<Handover> before; // from the program in whose place this one was executed
};

// The connection manager, the daemon's first process: owns the listening sockets and the shared table, keeps the
// queuers running and idle proxies ahead of need, reaps and collects, handles signals and commands. Returns the exit
// status after a clean stop; throws, with nothing left behind, if the start fails.
int run_manager(ManagerStart start);

} // namespace pepsal
