// Sockets as the rest of the program uses them. Every call throws SystemError if the kernel refuses.

#include "util/socket.hh"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/core.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

tcp_info info_of(const TCPSocket& socket)
{
  tcp_info info{};
  socklen_t length = sizeof info;
  check("getsockopt TCP_INFO", ::getsockopt(socket.number(), IPPROTO_TCP, TCP_INFO, &info, &length));
  return info;
}

} // namespace

Socket Socket::create(int family, int type, int protocol)
{
  return Socket{check("socket", ::socket(family, type | SOCK_CLOEXEC, protocol))};
}

void Socket::set_option(int level, int option, int value, std::string_view name)
{
  if (::setsockopt(number(), level, option, &value, sizeof value) == -1) {
    throw SystemError{errno, fmt::format("setsockopt {} {}", name, value)};
  }
}

void Socket::set_option(int level, int option, const std::string& value, std::string_view name)
{
  if (::setsockopt(number(), level, option, value.data(), static_cast<socklen_t>(value.size())) == -1) {
    throw SystemError{errno, fmt::format("setsockopt {} {}", name, value)};
  }
}

Endpoint Socket::local_endpoint() const
{
  SocketAddress address;
  check("getsockname", ::getsockname(number(), address.get(), &address.length()));
  return address.endpoint();
}

int Socket::family() const
{
  int result = 0;
  socklen_t length = sizeof result;
  check("getsockopt SO_DOMAIN", ::getsockopt(number(), SOL_SOCKET, SO_DOMAIN, &result, &length));
  return result;
}

std::optional<Endpoint> Socket::remote_endpoint() const
{
  SocketAddress address;
  return ::getpeername(number(), address.get(), &address.length()) == 0 ? std::optional{address.endpoint()}
                                                                        : std::nullopt;
}

std::string Socket::bound_interface() const
{
  std::array<char, IFNAMSIZ> name{};
  socklen_t length = name.size();
  return ::getsockopt(number(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &length) == 0 ? name.data() : std::string{};
}

void Socket::set_mark(std::uint32_t mark)
{
  set_option(SOL_SOCKET, SO_MARK, static_cast<int>(mark), "SO_MARK");
}

void TCPSocket::set_nodelay()
{
  set_option(IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
}

void TCPSocket::set_reset_on_close(bool reset)
{
  const linger option{.l_onoff = reset ? 1 : 0, .l_linger = 0};
  check("setsockopt SO_LINGER", ::setsockopt(number(), SOL_SOCKET, SO_LINGER, &option, sizeof option));
}

void TCPSocket::set_congestion(const std::string& name)
{
  set_option(IPPROTO_TCP, TCP_CONGESTION, name, "TCP_CONGESTION");
}

std::string TCPSocket::congestion() const
{
  std::array<char, 16> name{}; // TCP_CA_NAME_MAX
  socklen_t length = name.size();
  check("getsockopt TCP_CONGESTION", ::getsockopt(number(), IPPROTO_TCP, TCP_CONGESTION, name.data(), &length));
  return {name.data(), ::strnlen(name.data(), name.size())};
}

void TCPSocket::set_traffic_class(std::uint8_t traffic_class)
{
  if (family() == AF_INET6) {
    set_option(IPPROTO_IPV6, IPV6_TCLASS, traffic_class, "IPV6_TCLASS");
  }
  set_option(IPPROTO_IP, IP_TOS, traffic_class, "IP_TOS"); // an IPv6 socket may carry IPv4
}

void TCPSocket::set_transparent(int family)
{
  if (family == AF_INET6) {
    set_option(IPPROTO_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT");
  } else {
    set_option(IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT");
  }
}

int TCPSocket::take_error()
{
  int error = 0;
  socklen_t length = sizeof error;
  check("getsockopt SO_ERROR", ::getsockopt(number(), SOL_SOCKET, SO_ERROR, &error, &length));
  return error;
}

int TCPSocket::state() const
{
  return info_of(*this).tcpi_state;
}

bool TCPSocket::has_syn_data() const
{
  return (info_of(*this).tcpi_options & TCPI_OPT_SYN_DATA) != 0;
}

void TCPSocket::assume_peer_window(std::uint32_t bytes)
{
  open_windows(bytes, 0);
}

void TCPSocket::open_windows(std::uint32_t send_bytes, std::uint32_t receive_bytes)
{
  constexpr int repair_off_without_probe = -1; // TCP_REPAIR_OFF_NO_WP, which the C library does not define
  tcp_repair_window window{};
  socklen_t length = sizeof window;
  set_option(IPPROTO_TCP, TCP_REPAIR, 1, "TCP_REPAIR");
  check("getsockopt TCP_REPAIR_WINDOW", ::getsockopt(number(), IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &length));
  window.snd_wnd = std::max(window.snd_wnd, send_bytes);
  window.max_window = std::max(window.max_window, send_bytes);
  window.rcv_wnd = std::max(window.rcv_wnd, receive_bytes);
  check("setsockopt TCP_REPAIR_WINDOW", ::setsockopt(number(), IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof window));
  set_option(IPPROTO_TCP, TCP_REPAIR, repair_off_without_probe, "TCP_REPAIR");
  set_option(SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"); // repair mode has changed it
}

std::optional<Endpoint> TCPSocket::redirected_from() const
{
  // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST; the kernel headers that define them conflict with the C library's.
  constexpr int original_destination = 80;
  for (const int level : {IPPROTO_IP, IPPROTO_IPV6}) {
    SocketAddress address;
    if (::getsockopt(number(), level, original_destination, address.get(), &address.length()) == 0) {
      return address.endpoint();
    }
  }
  return std::nullopt;
}

} // namespace pepsal
