// The outgoing leg: a socket with the client's address, the SYN's DSCP and the leg's profile, connected within
// --connect-timeout. Called by a proxy once per connection. Refusals and timeouts are results; a lack of descriptors or
// memory is waited out for as long, and only then throws.

#include "proxy/dial.hh"

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr std::size_t most_first_bytes = 2048;                       // more than any SYN takes on an Ethernet path
constexpr auto first_bytes_patience = std::chrono::milliseconds{20}; // negligible compared with a satellite round trip

class Dialler
{
public:
  Dialler(const Config& config, const Connection& connection, const TCPSocket& client, const Departure& departure,
          bool with_first_bytes)
      : config_{config}
      , connection_{connection}
      , client_{client}
      , departure_{departure}
      , with_first_bytes_{with_first_bytes}
      , server_{connection.server}
  {}

  DialResult attempt(const DialSource& source)
  {
    auto result = dial_from(source);
    result.source = source.binding;
    return result;
  }

private:
  DialResult dial_from(const DialSource& source)
  {
    auto prepared = prepare(source);
    if (!prepared.socket.is_open()) {
      return {.end = DialEnd::failed, .socket = {}, .error = prepared.error};
    }
    auto socket = std::move(prepared.socket);
    const auto first_bytes = fast_open() ? connect_with_data(socket) : connect(socket);
    if (first_bytes == -1) {
      return {.end = DialEnd::failed, .socket = {}, .error = errno};
    }
    auto result = wait_until_connected(std::move(socket));
    result.first_bytes = static_cast<std::uint64_t>(first_bytes);
    return result;
  }

  // A lack of descriptors or memory is temporary, and a client that has been answered waits for its end as for its
  // server.
  PreparedDial prepare(const DialSource& source) const
  {
    constexpr auto pause = std::chrono::milliseconds{100};
    const auto deadline = std::chrono::steady_clock::now() + config_.connect_timeout;
    for (;;) {
      try {
        return prepare_dial(config_, connection_, departure_, source);
      } catch (const SystemError& error) {
        if (!is_lack_of_resources(error.code().value()) || std::chrono::steady_clock::now() >= deadline) {
          throw;
        }
      }
      std::this_thread::sleep_for(pause);
    }
  }

  bool fast_open() const { return config_.fastopen && departure_.link != nullptr && with_first_bytes_; }

  // Begins to connect; returns the number of bytes sent along, or -1 with errno.
  ssize_t connect(const TCPSocket& socket) const
  {
    return ::connect(socket.number(), server_.get(), server_.length()) == -1 && errno != EINPROGRESS ? -1 : 0;
  }

  // The same with the client's first bytes, if it sends some soon. The kernel takes what fits into one SYN, and sends
  // it again in the ordinary way if the server acknowledges the SYN without them.
  ssize_t connect_with_data(TCPSocket& socket)
  {
    std::array<std::byte, most_first_bytes> bytes;
    pollfd readable{.fd = client_.number(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, static_cast<int>(first_bytes_patience.count()));
    const auto available = ::recv(client_.number(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
    if (available <= 0) {
      return connect(socket);
    }
    if (departure_.to_peer) { // anyone else must provide a cookie first (RFC 7413)
      socket.set_option(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1, "TCP_FASTOPEN_NO_COOKIE");
    }
    const auto sent = ::sendto(socket.number(), bytes.data(), static_cast<std::size_t>(available),
                               MSG_FASTOPEN | MSG_NOSIGNAL, server_.get(), server_.length());
    if (sent == -1) {
      return errno == EINPROGRESS ? 0 : -1; // a SYN without data: there is no cookie, or too many such SYNs got lost
    }
    return check("recv", ::recv(client_.number(), bytes.data(), static_cast<std::size_t>(sent), 0));
  }

  DialResult wait_until_connected(TCPSocket socket)
  {
    const auto deadline = std::chrono::steady_clock::now() + config_.connect_timeout;
    for (;;) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      // The client's reset shows as POLLERR or POLLHUP, which are always reported; its half-close does not.
      std::array<pollfd, 2> watched{pollfd{.fd = socket.number(), .events = POLLOUT, .revents = 0},
                                    pollfd{.fd = client_.number(), .events = 0, .revents = 0}};
      const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
      if (ready == -1 && errno != EINTR) {
        throw SystemError{errno, "poll"};
      }
      if (ready == 0) {
        return {.end = DialEnd::failed, .socket = {}, .error = ETIMEDOUT};
      }
      if (ready > 0 && watched[0].revents != 0) {
        if (const int error = socket.take_error(); error != 0) {
          return {.end = DialEnd::failed, .socket = {}, .error = error};
        }
        return {.end = DialEnd::connected, .socket = std::move(socket)};
      }
      if (ready > 0 && watched[1].revents != 0) {
        return {.end = DialEnd::client_gone, .socket = {}};
      }
    }
  }

  const Config& config_;
  const Connection& connection_;
  const TCPSocket& client_;
  Departure departure_;
  bool with_first_bytes_;
  SocketAddress server_;
};

bool source_is_at_fault(const DialResult& result)
{
  return result.end == DialEnd::failed && pepsal::source_is_at_fault(result.error);
}

} // namespace

std::string dial_failure(int error)
{
  switch (error) {
  case ECONNREFUSED:
    return "refused";
  case ETIMEDOUT:
    return "timeout";
  case EHOSTUNREACH:
  case ENETUNREACH:
    return "unreachable";
  default:
    return fmt::format("error-{}", error);
  }
}

bool wait_for_old_leg(ConnectionTable& table, const Connection& connection, const TCPSocket& client, Owner self)
{
  auto pause = pause_for_old_leg(table, connection, self, {});
  for (; pause; pause = pause_for_old_leg(table, connection, self, *pause)) {
    pollfd gone{.fd = client.number(), .events = 0, .revents = 0};
    if (::poll(&gone, 1, static_cast<int>(pause->count())) > 0) {
      return false;
    }
  }
  return true;
}

DialResult dial(const Config& config, const Connection& connection, const TCPSocket& client, const Departure& departure,
                bool preserve_source, bool with_first_bytes)
{
  Dialler dialler{config, connection, client, departure, with_first_bytes};
  auto source = preserve_source ? source_of(connection) : own_source;
  for (;;) {
    auto result = dialler.attempt(source);
    const auto next = source_is_at_fault(result) ? next_source(connection, source) : std::nullopt;
    if (!next) {
      return result;
    }
    source = *next;
  }
}

} // namespace pepsal
