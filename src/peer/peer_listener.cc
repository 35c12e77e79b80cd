// The sockets on which peers' warm connections arrive. Opened by the manager before the first fork; bound to satellite
// interfaces, so that the port is not reachable from elsewhere. A start that fails says why in one line.

#include "peer/peer_listener.hh"

#include <stdexcept>

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tcp/route.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr int backlog = 512; // connections between handshake and accept()

Listener open_listener(const Config& config, const std::string& interface, int family)
{
  Listener listener{.socket = TCPSocket{check("socket", ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0))},
                    .interface = interface,
                    .for_peers = true};
  auto& socket = listener.socket;
  socket.set_option(SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  socket.set_option(SOL_SOCKET, SO_BINDTODEVICE, interface, "SO_BINDTODEVICE");
  if (family == AF_INET6) {
    socket.set_option(IPPROTO_IPV6, IPV6_V6ONLY, 0, "IPV6_V6ONLY");
  }
  const SocketAddress address{*Endpoint::parse(family == AF_INET6 ? "::" : "0.0.0.0", config.peers.port)};
  if (::bind(socket.number(), address.get(), address.length()) == -1) {
    if (errno == EADDRINUSE) {
      throw std::runtime_error{fmt::format("port {} is taken: stop what listens there (ss -ltnp) or choose another "
                                           "--peer-port, the same on all boxes",
                                           config.peers.port)};
    }
    throw SystemError{errno, fmt::format("bind {}", address.endpoint().to_string())};
  }
  configure(listener, config);
  if (::listen(socket.number(), backlog) == -1) {
    throw SystemError{errno, fmt::format("listen on port {}", config.peers.port)};
  }
  return listener;
}

} // namespace

Listener open_peer_listener(const Config& config, const std::string& interface)
{
  try {
    return open_listener(config, interface, AF_INET6);
  } catch (const SystemError& error) {
    if (error.code().value() != EAFNOSUPPORT) { // a kernel without IPv6
      throw;
    }
    return open_listener(config, interface, AF_INET);
  }
}

std::vector<Listener> open_peer_listeners(const Config& config, std::vector<Listener>& kept)
{
  std::vector<Listener> listeners;
  if (config.peers.peers.empty()) {
    return listeners;
  }
  for (const auto& link : config.links) {
    if (auto found = take_kept(kept, link.interface, true)) {
      configure(*found, config);
      listeners.push_back(std::move(*found));
    } else {
      listeners.push_back(open_peer_listener(config, link.interface));
    }
  }
  return listeners;
}

void check_peers_are_reached(const Config& config)
{
  for (const auto& peer : config.peers.peers) {
    const auto interface = outgoing_interface(peer.address, 0);
    if (find_link(config.links, interface) == nullptr) {
      throw std::runtime_error{
          fmt::format("--peer: '{0}' is not reached through a link's interface but through {1}: see `ip route get {0}`",
                      peer.address.address_string(), interface.empty() ? "none" : "'" + interface + "'")};
    }
  }
}

} // namespace pepsal
