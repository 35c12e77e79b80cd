#pragma once

#include <string>

#include "pepsalctl/sock_diag.hh"

namespace pepsal {

// What the sender of this socket is waiting for: "handshake", "receiver" (its window is full), "network" (the
// congestion window is full, or what was sent is in flight) or "application" (everything has been acknowledged and the
// proxy has nothing more to send).
const char* waits_for(const SocketFacts& socket);

// The same for human readers, with the time since when: "application, 12s".
std::string waiting_text(const SocketFacts& socket);

} // namespace pepsal
