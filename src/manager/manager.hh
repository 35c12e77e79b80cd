#pragma once

#include <functional>
#include <optional>

#include "config/config.hh"
#include "manager/handover.hh"
#include "manager/restart.hh"

namespace pepsal {

// How a manager begins, and by what it is followed.
struct ManagerStart
{
  Config config;
  // Reads the configuration again, for a reload; may throw, then the old one stays.
  std::function<Config()> read_configuration;
  std::function<void()> on_ready; // called once when connections can be served
  Program program;                // executed in this one's place when it is told to restart
  std::optional<Handover> before; // of the program in whose place this one was executed
};

// The connection manager, the daemon's first process: owns the listening sockets and the shared table, keeps the
// queuers running and idle proxies ahead of need, reaps and collects, handles signals and commands. Returns the exit
// status after a clean stop; throws, with nothing left behind, when the start fails.
int run_manager(ManagerStart start);

} // namespace pepsal
