#pragma once

#include <functional>
#include <memory>

#include "config/config.hh"

namespace pepsal {

// The connection manager, the daemon's first process: owns the listening sockets and the shared table,
// keeps the queuers running and idle proxies ahead of need, reaps and collects, handles signals.
// `reload` reads the configuration anew on SIGHUP; it may throw, then the old one stays. `on_ready` is
// called once when connections can be served. Returns the exit status after a clean stop; throws, with
// nothing left behind, when the start fails.
int run_manager(Config config, const std::function<Config()>& reload, const std::function<void()>& on_ready);

} // namespace pepsal
