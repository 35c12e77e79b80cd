#pragma once

#include "link/link.hh"
#include "util/socket.hh"

namespace pepsal {

// How long a warm connection may hear nothing before its peer counts as gone. Of all that lead to one peer the near box
// probes one often, and all others seldom: that one's death is everybody's.
static constexpr std::chrono::seconds watched_probe{30};    // between probes of the one that is watched
static constexpr std::chrono::seconds watched_patience{60}; // without an answer
static constexpr std::chrono::seconds watched_repeat{5};    // of an unanswered probe: what gets lost proves nothing
static constexpr std::chrono::seconds idle_probe{600};
static constexpr std::chrono::seconds idle_patience{900};
static constexpr std::chrono::seconds idle_repeat{30};

enum class Watch
{
  often,
  seldom
};

// Probes of an idle connection (tcp(7): TCP_KEEPIDLE, TCP_USER_TIMEOUT).
void watch_idle(TCPSocket& socket, Watch watch);

// Opens this side's window to two bandwidth-delay products of the link, and assumes that much of the other side, where
// the link's rate is known. The window of a handshake is 64 kB at most (RFC 7323 section 2.2) and grows with what is
// received; the first flight of one product must find it open, and the second one too, as what the first one's
// acknowledgements say is of the time before it. By TCP_REPAIR_WINDOW; needs CAP_NET_ADMIN.
void open_window(TCPSocket& socket, const Link& link);

// To be called when an idle connection begins to carry a client. BBR takes a round trip that it has not measured again
// for ten seconds to be out of date, and sends next to nothing for a round trip to measure it (PROBE_RTT); choosing it
// again restarts the ten seconds, with the window there is.
void begin_use(TCPSocket& socket);

// Whether nothing has come and nothing has ended: only then may an idle connection be used.
bool is_idle_and_alive(const TCPSocket& socket);

} // namespace pepsal
