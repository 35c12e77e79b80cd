#pragma once

#include <string>
#include <vector>

#include "config/config.hh"
#include "tcp/listener.hh"

namespace pepsal {

// The listeners for peers' warm connections, one for each satellite interface; none without --peer. Throws
// std::runtime_error with one line when the port is taken, SystemError when the kernel refuses something else. What is
// among `kept` is taken from there.
std::vector<Listener> open_peer_listeners(const Config& config, std::vector<Listener>& kept);

// A new one for the interface of this one, which has been made again. Throws as open_peer_listeners() does.
Listener open_peer_listener(const Config& config, const std::string& interface);

// Throws std::runtime_error with one line that says which peer no satellite interface leads to, and what does.
void check_peers_are_reached(const Config& config);

} // namespace pepsal
