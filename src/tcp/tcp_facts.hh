#pragma once

#include <chrono>
#include <cstdint>

#include "util/socket.hh"

namespace pepsal {

// What the kernel knows about a connected socket (struct tcp_info of linux/tcp.h), as far as a proxy uses it.
struct TcpFacts
{
  int state{};                                 // TCP_ESTABLISHED, TCP_CLOSE, ...
  bool probes_unanswered{};                    // keepalive or zero-window probes since the host's last answer
  std::uint32_t unacknowledged_segments{};     // sent, and neither acknowledged nor given up
  std::uint32_t segments_received{};           // all, also those without data or out of order; wraps around
  std::uint32_t data_segments_received{};      // those with data; wraps around
  std::uint32_t host_window_bytes{};           // window that the host announced last
  std::chrono::microseconds rtt{};             // smoothed; 0 before the first measurement
  std::uint32_t retransmissions{};             // segments sent again
  std::chrono::milliseconds since_data_sent{}; // retransmissions included, probes not
  std::chrono::milliseconds since_heard{};     // since the host's last acknowledgement or data
};

// Throws SystemError if the kernel refuses.
TcpFacts tcp_facts(const TCPSocket& socket);

} // namespace pepsal
