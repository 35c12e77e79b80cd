// Socket settings of an idle warm connection, on either side. Called by keepers and far proxies; fails if the kernel
// refuses an option.

#include "peer/warm_socket.hh"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "link/figures.hh"

namespace pepsal {

void watch_idle(TCPSocket& socket, Watch watch)
{
  const auto probe = watch == Watch::often ? watched_probe : idle_probe;
  const auto patience = watch == Watch::often ? watched_patience : idle_patience;
  const auto repeated = watch == Watch::often ? watched_repeat : idle_repeat;
  socket.set_option(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(std::chrono::milliseconds{patience}.count()),
                    "TCP_USER_TIMEOUT");
  socket.set_option(IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(probe.count()), "TCP_KEEPIDLE");
  socket.set_option(IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(repeated.count()), "TCP_KEEPINTVL");
}

void open_window(TCPSocket& socket, const Link& link)
{
  // The buffer is sized for four products, half of which the window may announce.
  if (link.has_rates()) {
    const auto figures = leg_figures(link);
    socket.open_windows(2 * figures.bytes_in_flight, figures.receive_buffer_bytes / 2);
  }
}

void begin_use(TCPSocket& socket)
{
  constexpr auto bbr = "bbr";
  constexpr auto other = "reno"; // always available; used for a moment in between
  if (socket.congestion() == bbr) {
    socket.set_congestion(other);
    socket.set_congestion(bbr);
  }
}

bool is_idle_and_alive(const TCPSocket& socket)
{
  std::byte next{};
  return socket.state() == TCP_ESTABLISHED && ::recv(socket.number(), &next, 1, MSG_PEEK | MSG_DONTWAIT) == -1 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

} // namespace pepsal
