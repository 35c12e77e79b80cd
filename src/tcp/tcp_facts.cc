// TCP_INFO. A separate file, because linux/tcp.h, the only header with the whole structure, conflicts with
// netinet/tcp.h. Called by a proxy from time to time, never per message.

#include "tcp/tcp_facts.hh"

#include <algorithm>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "util/system_error.hh"

namespace pepsal {

TcpFacts tcp_facts(const TCPSocket& socket)
{
  tcp_info info{};
  socklen_t length = sizeof info;
  check("getsockopt TCP_INFO", ::getsockopt(socket.number(), IPPROTO_TCP, TCP_INFO, &info, &length));
  return {.state = info.tcpi_state,
          .probes_unanswered = info.tcpi_probes > 0,
          .unacknowledged_segments = info.tcpi_unacked,
          .segments_received = info.tcpi_segs_in,
          .data_segments_received = info.tcpi_data_segs_in,
          .host_window_bytes = info.tcpi_snd_wnd,
          .rtt = std::chrono::microseconds{info.tcpi_rtt},
          .retransmissions = info.tcpi_total_retrans,
          .since_data_sent = std::chrono::milliseconds{info.tcpi_last_data_sent},
          .since_heard = std::chrono::milliseconds{std::min(info.tcpi_last_ack_recv, info.tcpi_last_data_recv)}};
}

} // namespace pepsal
