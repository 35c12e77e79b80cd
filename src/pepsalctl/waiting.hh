#pragma once

#include <string>

#include "pepsalctl/sock_diag.hh"

namespace pepsal {

// What the sender of this socket waits for at the moment: "handshake", "receiver" (its window is full), "network" (the
// congestion window is, or what was sent is on its way) or "application" (all has been acknowledged; the proxy has no
// more to send).
const char* waits_for(const SocketFacts& socket);

// The same for people, with since when: "application, 12s".
std::string waiting_text(const SocketFacts& socket);

} // namespace pepsal
