#pragma once

#include <csignal>
#include <functional>
#include <optional>

#include "config/config.hh"
#include "peer/answer.hh"
#include "peer/peer_key.hh"
#include "peer/proxy_header.hh"
#include "shared/connection_table.hh"
#include "util/socket.hh"

namespace pepsal {

// The far box's side of a warm connection until it carries a client: who is admitted, the handshake, the wait.
class PeerGate
{
public:
  static constexpr std::chrono::seconds patience{15}; // for each record, once it is due
  static constexpr unsigned most_hops = 4;            // warm connections in a row; more means a routing loop

  // `link` is the one on which it arrives. `retired` is set by a signal that interrupts the wait, and `ending_signal`
  // is that signal.
  PeerGate(const Config& config, const Link* link, const PeerKey* key, ConnectionTable& table,
           const volatile std::sig_atomic_t& retired, int ending_signal);

  // Takes a connection accepted from `from` through the handshake, calls `on_waiting`, and waits until the peer sends a
  // client's header. Nothing if the connection is refused, the peer closes it, or this process retires; it is then
  // closed, and a refusal is counted and logged. Until the header is read, the end of this process sends a FIN in front
  // of any answer, from which the near box knows that nothing was passed on; afterwards it sends a reset.
  std::optional<ProxyHeader> admit(TCPSocket& socket, const Endpoint& from, const std::function<void()>& on_waiting);

  // Whether this client of the peer `from` may be served. If not, the peer is told, and the refusal is counted and
  // logged.
  bool allows(const ProxyHeader& header, const TCPSocket& socket, const Endpoint& from,
              const std::function<bool(const Endpoint&)>& is_own_address);

private:
  bool shake_hands(TCPSocket& socket, const Endpoint& from);
  bool wait_for_client(const TCPSocket& socket) const;
  static std::optional<ProxyHeader> read_header(const TCPSocket& socket);
  void refuse(const Endpoint& from, std::string_view reason);

  const Config& config_;
  const Link* link_;
  const PeerKey* key_;
  ConnectionTable& table_;
  const volatile std::sig_atomic_t& retired_;
  int ending_signal_;
};

// Tells the near box how the dial ended. On a connection that will carry nothing more, the end of the stream follows
// the record, and what still arrives is read and discarded briefly: unread bytes would turn the end into a reset, which
// may overtake the record.
void send_answer(const TCPSocket& socket, const PeerAnswer& answer);
void send_last_answer(const TCPSocket& socket, const PeerAnswer& answer);

// Why a peer's client may not be served: its addresses do not belong to other hosts, it wants this box itself, or it
// has crossed too many boxes. Empty if it may.
std::string_view problem_of(const ProxyHeader& header, const std::function<bool(const Endpoint&)>& is_own_address);

} // namespace pepsal
