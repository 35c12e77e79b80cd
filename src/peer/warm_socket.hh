#pragma once

#include "link/link.hh"
#include "util/socket.hh"

namespace pepsal {

// How long a warm connection may be silent before its peer counts as gone. Of all connections to one peer, the near box
// probes one often and the others rarely: if that one dies, all are dead.
static constexpr std::chrono::seconds watched_probe{30};    // between probes of the watched connection
static constexpr std::chrono::seconds watched_patience{60}; // without an answer
static constexpr std::chrono::seconds watched_repeat{5};    // of an unanswered probe: a lost packet proves nothing
static constexpr std::chrono::seconds idle_probe{600};
static constexpr std::chrono::seconds idle_patience{900};
static constexpr std::chrono::seconds idle_repeat{30};

enum class Watch
{
  often,
  seldom
};

// Sets up probing of an idle connection (tcp(7): TCP_KEEPIDLE, TCP_USER_TIMEOUT).
void watch_idle(TCPSocket& socket, Watch watch);

// If the link's rate is known, opens this side's window to two bandwidth-delay products of the link, and assumes the
// same of the other side. The window in a handshake is at most 64 kB (RFC 7323 section 2.2) and grows with what is
// received; the first flight of one product must find it open, and the second too, because the acknowledgements of the
// first describe the time before it. Uses TCP_REPAIR_WINDOW, which needs CAP_NET_ADMIN.
void open_window(TCPSocket& socket, const Link& link);

// To be called when an idle connection begins to carry a client. BBR considers a round-trip time that it has not
// measured again for ten seconds out of date, and sends next to nothing for a round trip to measure it (PROBE_RTT);
// selecting the congestion control again restarts the ten seconds and keeps the current window.
void begin_use(TCPSocket& socket);

// Whether nothing has arrived and the connection has not ended: only then may an idle connection be used.
bool is_idle_and_alive(const TCPSocket& socket);

} // namespace pepsal
