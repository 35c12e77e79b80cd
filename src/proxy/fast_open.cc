// Fast Open clients, in a proxy's process, between accept and dial. SystemError if a socket cannot be queried.

#include "proxy/fast_open.hh"

#include <chrono>
#include <thread>

#include <netinet/tcp.h>

#include "link/figures.hh"

namespace pepsal {

namespace {

// False if the client does not answer.
bool wait_for_handshake(const TCPSocket& client)
{
  constexpr auto patience = std::chrono::seconds{15};
  constexpr auto pause = std::chrono::milliseconds{5}; // the end of a handshake causes no event
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (client.state() == TCP_SYN_RECV && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(pause);
  }
  const int state = client.state();
  return state != TCP_SYN_RECV && state != TCP_CLOSE; // closed by an ICMP error: nobody has answered
}

} // namespace

bool FastOpenTrust::is_proved(const TCPSocket& client, const Endpoint& address, const PeerFilter& arrival) const
{
  return config_.peers.peers.empty() || is_behind_peer(address, arrival) || wait_for_handshake(client);
}

bool FastOpenTrust::is_behind_peer(const Endpoint& client, const PeerFilter& arrival) const
{
  const auto& options = config_.peers;
  const auto peer = choose_peer(options.peers, client, arrival);
  return peer && (options.warm_connections == 0 || table_.peers()[*peer].up);
}

void expect_peer_window(TCPSocket& socket, const Link& link)
{
  if (link.has_rates()) {
    socket.assume_peer_window(leg_figures(link).bytes_in_flight);
  }
}

} // namespace pepsal
