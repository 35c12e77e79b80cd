// The tests' own TCP ends, for what no existing program does: resets, urgent bytes, slow reading, half-closes held
// open. All calls have a time limit; failures are thrown as SystemError.

#include "support/socket.hh"

#include "util/system_error.hh"

#include <array>
#include <cerrno>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace pepsal::test {

namespace {

template<typename Value> void set_option(const FileDescriptor& fd, int level, int name, const Value& value)
{
  check("setsockopt", ::setsockopt(fd.number(), level, name, &value, sizeof value));
}

FileDescriptor tcp_socket(const Host& host, const Endpoint& endpoint)
{
  const Visit there{host.network()};
  return FileDescriptor{
      check("socket", ::socket(SocketAddress{endpoint}.family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP))};
}

} // namespace

Connection::Connection(FileDescriptor fd)
    : fd_{std::move(fd)}
{
  const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
  set_option(fd_, SOL_SOCKET, SO_RCVTIMEO, limit);
  set_option(fd_, SOL_SOCKET, SO_SNDTIMEO, limit);
  set_option(fd_, IPPROTO_TCP, TCP_NODELAY, 1);
}

Connection Connection::connect(const Host& from, const Endpoint& to, const std::optional<Endpoint>& source)
{
  Connection connection{tcp_socket(from, to)};
  if (source) {
    set_option(connection.fd_, SOL_SOCKET, SO_REUSEADDR, 1);
    const SocketAddress address{*source};
    check("bind " + source->to_string(), ::bind(connection.number(), address.get(), address.length()));
  }
  const SocketAddress address{to};
  check("connect " + to.to_string(), ::connect(connection.number(), address.get(), address.length()));
  return connection;
}

Endpoint Connection::local() const
{
  SocketAddress address;
  check("getsockname", ::getsockname(number(), address.get(), &address.length()));
  return address.endpoint();
}

Endpoint Connection::remote() const
{
  SocketAddress address;
  check("getpeername", ::getpeername(number(), address.get(), &address.length()));
  return address.endpoint();
}

void Connection::send(std::string_view text) const
{
  send(std::as_bytes(std::span{text}));
}

void Connection::send(std::span<const std::byte> bytes) const
{
  while (!bytes.empty()) {
    const auto sent = check("send", ::send(number(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

void Connection::set_receive_buffer(int bytes) const
{
  check("setsockopt SO_RCVBUF", ::setsockopt(number(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes));
}

void Connection::send_urgent(char byte) const
{
  check("send urgent", ::send(number(), &byte, 1, MSG_OOB | MSG_NOSIGNAL));
}

void Connection::send_stream(std::uint64_t seed, std::size_t bytes, std::size_t at_once) const
{
  Stream stream{seed};
  std::vector<std::byte> buffer(at_once);
  while (stream.position() < bytes) {
    const auto part = std::span{buffer}.first(std::min<std::size_t>(at_once, bytes - stream.position()));
    stream.fill(part);
    send(part);
  }
}

void Connection::end_sending() const
{
  check("shutdown", ::shutdown(number(), SHUT_WR));
}

std::span<std::byte> Connection::receive(std::span<std::byte> buffer) const
{
  const auto length = check("recv", ::recv(number(), buffer.data(), buffer.size(), 0));
  return buffer.first(static_cast<std::size_t>(length));
}

std::string Connection::receive_text(std::size_t exactly) const
{
  std::string text(exactly, '\0');
  auto rest = std::as_writable_bytes(std::span{text});
  while (!rest.empty()) {
    const auto part = receive(rest);
    if (part.empty()) {
      throw std::runtime_error{fmt::format("end of stream {} bytes early", rest.size())};
    }
    rest = rest.subspan(part.size());
  }
  return text;
}

std::string Connection::receive_all() const
{
  std::string text;
  std::array<std::byte, 65536> buffer{};
  for (;;) {
    const auto part = receive(buffer);
    if (part.empty()) {
      return text;
    }
    text.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
}

std::size_t Connection::receive_stream(std::uint64_t seed) const
{
  Stream stream{seed};
  std::vector<std::byte> buffer(262'144);
  for (;;) {
    const auto part = receive(buffer);
    if (part.empty()) {
      return stream.position();
    }
    const auto before = stream.position();
    if (!stream.matches(part)) {
      throw std::runtime_error{fmt::format("stream {} differs after byte {}", seed, before)};
    }
  }
}

void Connection::reset()
{
  set_option(fd_, SOL_SOCKET, SO_LINGER, linger{.l_onoff = 1, .l_linger = 0});
  fd_.close();
}

Listener::Listener(const Host& host, const Endpoint& at, int backlog)
    : fd_{tcp_socket(host, at)}
{
  set_option(fd_, SOL_SOCKET, SO_REUSEADDR, 1);
  const SocketAddress address{at};
  check("bind " + at.to_string(), ::bind(fd_.number(), address.get(), address.length()));
  check("listen", ::listen(fd_.number(), backlog));
}

Endpoint Listener::local() const
{
  SocketAddress address;
  check("getsockname", ::getsockname(fd_.number(), address.get(), &address.length()));
  return address.endpoint();
}

std::optional<Connection> Listener::try_accept(std::chrono::milliseconds limit) const
{
  pollfd waiting{.fd = fd_.number(), .events = POLLIN, .revents = 0};
  if (check("poll", ::poll(&waiting, 1, static_cast<int>(limit.count()))) == 0) {
    return std::nullopt;
  }
  return Connection{FileDescriptor{check("accept", ::accept4(fd_.number(), nullptr, nullptr, SOCK_CLOEXEC))}};
}

Connection Listener::accept() const
{
  auto connection = try_accept(patience);
  if (!connection) {
    throw SystemError{EAGAIN, "accept " + local().to_string()};
  }
  return std::move(*connection);
}

} // namespace pepsal::test
