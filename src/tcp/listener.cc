// The listening sockets and the TCP properties of each side. The manager opens listeners before the first fork; a port
// in use, a missing capability or a refused option ends the start with one line.

#include "tcp/listener.hh"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <stdexcept>

#include <fmt/core.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "link/figures.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr std::uint64_t no_pacing = ~std::uint64_t{0};
constexpr int backlog = 4096; // connections between handshake and accept(); net.core.somaxconn caps it

TCPSocket create_for_family(int family)
{
  return TCPSocket{check("socket", ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0))};
}

// Dual-stack, so that one accept() serves both families; only IPv4 if the kernel has no IPv6.
TCPSocket create_socket(const Config& config, SocketAddress& address)
{
  if (!config.address.empty()) {
    address = SocketAddress{*Endpoint::parse(config.address, config.port)};
    return create_for_family(address.family());
  }
  try {
    auto socket = create_for_family(AF_INET6);
    socket.set_option(IPPROTO_IPV6, IPV6_V6ONLY, 0, "IPV6_V6ONLY");
    address = SocketAddress{*Endpoint::parse("::", config.port)};
    return socket;
  } catch (const SystemError& error) {
    if (error.code().value() != EAFNOSUPPORT) {
      throw;
    }
    address = SocketAddress{*Endpoint::parse("0.0.0.0", config.port)};
    return create_for_family(AF_INET);
  }
}

void prepare(TCPSocket& socket, const Config& config, int family)
{
  socket.set_option(SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  try {
    socket.set_mark(config.marks.client_leg());
    socket.set_transparent(family);
    if (family == AF_INET6) {
      socket.set_transparent(AF_INET);
    }
  } catch (const SystemError& error) {
    if (error.code().value() == EPERM) {
      throw std::runtime_error{fmt::format("{}: start as root or with CAP_NET_ADMIN", error.what())};
    }
    throw;
  }
}

// The general listener binds without SO_REUSEPORT and so notices if another program has the port; those of the
// satellite interfaces then share it.
Listener bind_listener(const Config& config, const std::string& interface, std::vector<Listener>& kept,
                       bool shares_port)
{
  if (auto found = take_kept(kept, interface, false)) {
    return std::move(*found);
  }
  SocketAddress address;
  auto socket = create_socket(config, address);
  prepare(socket, config, address.family());
  if (shares_port) {
    socket.set_option(SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  }
  if (!interface.empty()) {
    socket.set_option(SOL_SOCKET, SO_BINDTODEVICE, interface, "SO_BINDTODEVICE");
  }
  if (::bind(socket.number(), address.get(), address.length()) == -1) {
    if (errno == EADDRINUSE) {
      throw std::runtime_error{
          fmt::format("port {} is taken: stop what listens there (ss -ltnp) or choose another --port", config.port)};
    }
    throw SystemError{errno, fmt::format("bind {}", address.endpoint().to_string())};
  }
  return {.socket = std::move(socket), .interface = interface};
}

// How many SYNs with data proxies may handle before their handshakes are complete; for further ones, the kernel does
// not accept the data. Each occupies a process.
int most_half_open(const Config& config)
{
  constexpr std::uint32_t most = 256;
  constexpr std::uint32_t share = 4; // of all connections
  return static_cast<int>(std::clamp(config.max_connections / share, std::uint32_t{1}, most));
}

void set_pacing(TCPSocket& socket, std::uint64_t bytes_per_second)
{
  check("setsockopt SO_MAX_PACING_RATE",
        ::setsockopt(socket.number(), SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_second, sizeof bytes_per_second));
}

// Back to the settings of a socket whose profile sets nothing. Only a buffer's size cannot be reset.
void revoke_profile(TCPSocket& socket, const LegProfile& profile)
{
  if (!profile.congestion.empty()) {
    std::string by_default;
    std::ifstream{"/proc/sys/net/ipv4/tcp_congestion_control"} >> by_default;
    socket.set_congestion(by_default);
  }
  if (profile.pacing_mbit != 0) {
    set_pacing(socket, no_pacing);
  }
  if (profile.notsent_lowat_bytes != 0) {
    socket.set_option(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, "TCP_NOTSENT_LOWAT");
  }
}

} // namespace

LegProfile profile_of(const Config& config, const Link* link)
{
  auto profile = link != nullptr ? config.satellite : config.terrestrial;
  if (link != nullptr && link->has_rates()) {
    const auto figures = leg_figures(*link);
    profile.receive_buffer_bytes = figures.receive_buffer_bytes;
    profile.send_buffer_bytes = figures.send_buffer_bytes;
  }
  return profile;
}

const Link* link_of(const Listener& listener, const Config& config)
{
  return find_link(config.links, listener.interface);
}

void apply_profile(TCPSocket& socket, const LegProfile& profile)
{
  // In the kernel, this limit would also count the time during which a living host has no room: Liveness decides
  // instead, and the kernel never gives up.
  constexpr int no_user_timeout_ms = std::numeric_limits<int>::max();
  constexpr std::chrono::seconds longest_probe_interval{60}; // while probes remain unanswered
  constexpr std::uint64_t bytes_per_mbit = 1'000'000 / 8;

  socket.set_nodelay();
  socket.set_reset_on_close(true);
  socket.set_option(SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE"); // urgent bytes keep their place in the stream
  socket.set_option(SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
  socket.set_option(IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(profile.keepalive.count()), "TCP_KEEPIDLE");
  socket.set_option(IPPROTO_TCP, TCP_KEEPINTVL,
                    static_cast<int>(std::min(profile.keepalive, longest_probe_interval).count()), "TCP_KEEPINTVL");
  socket.set_option(IPPROTO_TCP, TCP_USER_TIMEOUT, no_user_timeout_ms, "TCP_USER_TIMEOUT");
  if (!profile.congestion.empty()) {
    socket.set_congestion(profile.congestion);
  }
  // Beyond net.core.rmem_max and wmem_max: CAP_NET_ADMIN permits it.
  if (profile.receive_buffer_bytes != 0) {
    socket.set_option(SOL_SOCKET, SO_RCVBUFFORCE, static_cast<int>(profile.receive_buffer_bytes), "SO_RCVBUFFORCE");
  }
  if (profile.send_buffer_bytes != 0) {
    socket.set_option(SOL_SOCKET, SO_SNDBUFFORCE, static_cast<int>(profile.send_buffer_bytes), "SO_SNDBUFFORCE");
  }
  if (profile.pacing_mbit != 0) {
    set_pacing(socket, profile.pacing_mbit * bytes_per_mbit);
  }
  if (profile.notsent_lowat_bytes != 0) {
    socket.set_option(IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(profile.notsent_lowat_bytes),
                      "TCP_NOTSENT_LOWAT");
  }
}

// SO_BINDTODEVICE returns the name of the interface to which the socket is bound by index: none for one that has gone.
std::optional<Listener> take_kept(std::vector<Listener>& kept, const std::string& interface, bool for_peers)
{
  const auto found = std::ranges::find_if(kept, [&](const Listener& listener) {
    return listener.interface == interface && listener.for_peers == for_peers &&
           listener.socket.bound_interface() == interface;
  });
  if (found == kept.end()) {
    return std::nullopt;
  }
  auto listener = std::move(*found);
  kept.erase(found);
  return listener;
}

std::vector<Listener> open_listeners(const Config& config, std::vector<Listener>& kept)
{
  std::vector<Listener> listeners;
  listeners.push_back(bind_listener(config, "", kept, false));
  for (const auto& link : config.links) {
    listeners.front().socket.set_option(SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
    listeners.push_back(bind_listener(config, link.interface, kept, true));
  }
  for (auto& listener : listeners) {
    configure(listener, config);
    if (::listen(listener.socket.number(), backlog) == -1) {
      throw SystemError{errno, fmt::format("listen on port {}", config.port)};
    }
  }
  for (auto& listener : listeners) { // from here on the port is taken for everyone else
    listener.socket.set_option(SOL_SOCKET, SO_REUSEPORT, 0, "SO_REUSEPORT");
  }
  return listeners;
}

bool has_lost_interface(const Listener& listener)
{
  return !listener.interface.empty() && listener.socket.bound_interface() != listener.interface &&
         ::if_nametoindex(listener.interface.c_str()) != 0;
}

void bind_again(std::vector<Listener>& listeners, std::size_t index, const Config& config)
{
  const auto share_port = [&listeners](bool share) {
    for (auto& listener : listeners) {
      if (!listener.for_peers) {
        listener.socket.set_option(SOL_SOCKET, SO_REUSEPORT, share ? 1 : 0, "SO_REUSEPORT");
      }
    }
  };
  std::vector<Listener> none;
  share_port(true);
  try {
    auto listener = bind_listener(config, listeners[index].interface, none, true);
    configure(listener, config);
    if (::listen(listener.socket.number(), backlog) == -1) {
      throw SystemError{errno, fmt::format("listen on port {}", config.port)};
    }
    listeners[index] = std::move(listener);
  } catch (const std::runtime_error&) {
    share_port(false);
    throw;
  }
  share_port(false);
}

bool listens(const Listener& listener)
{
  int result = 0;
  socklen_t length = sizeof result;
  check("getsockopt SO_ACCEPTCONN",
        ::getsockopt(listener.socket.number(), SOL_SOCKET, SO_ACCEPTCONN, &result, &length));
  return result != 0;
}

void restore(Listener& listener, const Config& config)
{
  if (!listener.for_peers) {
    prepare(listener.socket, config, listener.socket.family());
  }
  configure(listener, config);
}

void configure(Listener& listener, const Config& config)
{
  apply_profile(listener.socket, profile_of(config, link_of(listener, config)));
  if (!listener.interface.empty() && !listener.for_peers) {
    // Without peers, a cookie must prove that a SYN's source receives what is sent there (RFC 7413 section 4.1). With
    // peers, their SYNs need none, and a proxy makes all others wait.
    const bool needs_no_cookie = config.fastopen && !config.peers.peers.empty();
    listener.socket.set_option(IPPROTO_TCP, TCP_FASTOPEN, config.fastopen ? most_half_open(config) : 0, "TCP_FASTOPEN");
    listener.socket.set_option(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, needs_no_cookie ? 1 : 0, "TCP_FASTOPEN_NO_COOKIE");
  }
}

void reconfigure(Listener& listener, const Config& before, const Config& config)
{
  revoke_profile(listener.socket, profile_of(before, link_of(listener, before)));
  configure(listener, config);
}

} // namespace pepsal
