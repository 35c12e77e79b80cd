#pragma once

#include <string>
#include <vector>

#include "config/config.hh"
#include "tcp/listener.hh"

namespace pepsal {

// The listeners for peers' warm connections, one for each satellite interface; none without --peer. Those found in
// `kept` are taken from there. Throws std::runtime_error with one line if the port is taken, SystemError if the kernel
// refuses something else.
std::vector<Listener> open_peer_listeners(const Config& config, std::vector<Listener>& kept);

// A new listener for this interface, which has been recreated. Throws as open_peer_listeners() does.
Listener open_peer_listener(const Config& config, const std::string& interface);

// Throws std::runtime_error with one line that names a peer that no satellite interface leads to, and what does.
void check_peers_are_reached(const Config& config);

} // namespace pepsal
