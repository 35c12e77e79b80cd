// A single leg: its end, its probes. Called by a session. Options are only refused for a reason that ends the process
// (SystemError).

#include "proxy/leg.hh"

#include <algorithm>
#include <cerrno>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "util/system_error.hh"

namespace pepsal {

std::uint32_t Leg::unacknowledged_bytes() const
{
  int bytes = 0;
  check("ioctl SIOCOUTQ", ::ioctl(socket.number(), SIOCOUTQ, &bytes));
  return static_cast<std::uint32_t>(std::max(bytes, 0));
}

void Leg::stop_probing()
{
  probes = false;
  socket.set_option(SOL_SOCKET, SO_KEEPALIVE, 0, "SO_KEEPALIVE");
}

void Leg::fail(int with_error)
{
  if (error != 0) {
    return;
  }
  error = with_error;
  fin_arrived = fin_arrived || with_error == EPIPE;
}

void Leg::set_keepalive(std::chrono::seconds interval)
{
  keepalive = interval;
  const auto seconds = static_cast<int>(interval.count());
  socket.set_option(IPPROTO_TCP, TCP_KEEPINTVL, seconds, "TCP_KEEPINTVL");
  socket.set_option(IPPROTO_TCP, TCP_KEEPIDLE, seconds, "TCP_KEEPIDLE"); // restarts the timer
}

int Leg::deliver()
{
  using namespace std::chrono_literals;
  constexpr auto longest_pause = 250ms;
  for (std::chrono::milliseconds pause = 1ms;; pause = std::min<std::chrono::milliseconds>(2 * pause, longest_pause)) {
    const auto facts = tcp_facts(socket);
    if (facts.state == TCP_SYN_RECV) {
      if (handshake_is_late()) {
        return ETIMEDOUT;
      }
      socket.set_nodelay(); // pushes
    } else if (unacknowledged_bytes() == 0) {
      return 0;
    } else if (facts.state == TCP_CLOSE) {
      const int error_of_socket = socket.take_error();
      return error_of_socket != 0 ? error_of_socket : ECONNRESET;
    }
    if (!liveness.lives(facts, std::chrono::steady_clock::now())) {
      return ETIMEDOUT;
    }
    ::poll(nullptr, 0, static_cast<int>(pause.count()));
  }
}

// A reset would often have no effect here. The kernel sends none in LAST_ACK and CLOSING once everything has been sent
// (tcp_disconnect()). If it does send one, a host that lacks earlier packets does not accept it but sends a challenge
// ACK (RFC 5961 section 3.2), which nobody may be left to answer: the other host has ended, too. Bytes that were not
// read from the socket still make the kernel send a reset.
void Leg::leave_rest_to_kernel()
{
  if (!fin_arrived || !fin_sent) {
    return;
  }
  using namespace std::chrono_literals;
  constexpr std::chrono::milliseconds longest = 24h; // for a host that does not answer, once nobody looks any more
  socket.set_reset_on_close(false);
  socket.set_option(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(longest.count()), "TCP_USER_TIMEOUT");
}

void Leg::end_in_good_order()
{
  socket.set_reset_on_close(false);
  if (unacknowledged_bytes() == 0) {
    return;
  }
  const auto limit = std::chrono::milliseconds{user_timeout};
  socket.set_option(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(limit.count()), "TCP_USER_TIMEOUT");
}

} // namespace pepsal
