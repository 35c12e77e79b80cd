#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "util/endpoint.hh"
#include "util/socket.hh"
#include "util/system_error.hh"

namespace pepsal::test {

// A TCP connection over loopback: the host's end, and the proxy's leg, which does not block.
struct LoopbackEnds
{
  TCPSocket host;
  TCPSocket proxy;
};

inline TCPSocket new_socket()
{
  return TCPSocket{check("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
}

// With small buffers a few kB fill the connection.
inline LoopbackEnds make_ends(int buffer_bytes = 0)
{
  auto listener = new_socket();
  LoopbackEnds ends{.host = new_socket(), .proxy = {}};
  for (auto* socket : {&listener, &ends.host}) {
    if (buffer_bytes != 0) {
      socket->set_option(SOL_SOCKET, SO_RCVBUF, buffer_bytes, "SO_RCVBUF");
      socket->set_option(SOL_SOCKET, SO_SNDBUF, buffer_bytes, "SO_SNDBUF");
    }
  }
  const SocketAddress any{*Endpoint::parse("127.0.0.1", 0)};
  check("bind", ::bind(listener.number(), any.get(), any.length()));
  check("listen", ::listen(listener.number(), 1));
  const SocketAddress there{listener.local_endpoint()};
  check("connect", ::connect(ends.host.number(), there.get(), there.length()));
  ends.proxy =
      TCPSocket{check("accept4", ::accept4(listener.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK))};
  ends.proxy.set_nodelay();
  ends.proxy.set_option(SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE");
  ends.host.set_nodelay();
  return ends;
}

inline void send_all(const TCPSocket& socket, std::string_view text)
{
  while (!text.empty()) {
    text.remove_prefix(
        static_cast<std::size_t>(check("send", ::send(socket.number(), text.data(), text.size(), MSG_NOSIGNAL))));
  }
}

inline void end_sending(const TCPSocket& socket)
{
  check("shutdown", ::shutdown(socket.number(), SHUT_WR));
}

inline void reset(TCPSocket& socket)
{
  socket.set_reset_on_close(true);
  socket.close();
}

// Everything up to the end of the stream, at most `at_once` bytes at a time.
inline std::string receive_all(const TCPSocket& socket, std::size_t at_once = 65536)
{
  std::string result;
  std::string buffer(at_once, '\0');
  for (;;) {
    const auto bytes = check("recv", ::recv(socket.number(), buffer.data(), buffer.size(), 0));
    if (bytes == 0) {
      return result;
    }
    result.append(buffer, 0, static_cast<std::size_t>(bytes));
  }
}

inline std::string receive(const TCPSocket& socket, std::size_t exactly)
{
  std::string result(exactly, '\0');
  result.resize(static_cast<std::size_t>(check("recv", ::recv(socket.number(), result.data(), exactly, MSG_WAITALL))));
  return result;
}

// Bytes in which a lost, duplicated or swapped piece shows.
inline std::string pattern(std::size_t bytes, std::uint32_t seed)
{
  std::string result(bytes, '\0');
  std::generate(result.begin(), result.end(), [state = seed]() mutable {
    state = state * 1664525U + 1013904223U; // Numerical Recipes' generator
    return static_cast<char>(state >> 24U);
  });
  return result;
}

} // namespace pepsal::test
