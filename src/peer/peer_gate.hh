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

// The far box's side of a warm connection until it carries a client: who may come in, the handshake, the wait.
class PeerGate
{
public:
  static constexpr std::chrono::seconds patience{15}; // for each record, once it is due
  static constexpr unsigned most_hops = 4;            // warm connections in a row; more is a loop of routes

  // `link` is the one it arrives by. `retired` is set by a signal that interrupts the wait, and `ending_signal` is that
  // signal.
  PeerGate(const Config& config, const Link* link, const PeerKey* key, ConnectionTable& table,
           const volatile std::sig_atomic_t& retired, int ending_signal);

  // Takes a connection that was accepted from `from` through the handshake and waits, with `on_waiting` called before,
  // until its peer sends a client's header. Nothing when it is refused, its peer closes it, or this process retires; it
  // is closed then, and who was refused is counted and logged. Until the header is read, the end of this process is a
  // FIN in front of any answer, by which the near box knows that nothing was passed on; afterwards it is a reset.
  std::optional<ProxyHeader> admit(TCPSocket& socket, const Endpoint& from, const std::function<void()>& on_waiting);

  // Whether this client of the peer `from` may be served. If not, the peer is told, which is counted and logged.
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

// Tells the near box how the dial went. For a connection that will carry nothing more, the record is followed by the
// end of the stream, and what still comes is read away for a moment: unread bytes would turn the end into a reset,
// which may overtake the record.
void send_answer(const TCPSocket& socket, const PeerAnswer& answer);
void send_last_answer(const TCPSocket& socket, const PeerAnswer& answer);

// Why a peer's client may not be served: its addresses are no other hosts', it wants this box itself, or it has crossed
// too many boxes. Empty when it may.
std::string_view problem_of(const ProxyHeader& header, const std::function<bool(const Endpoint&)>& is_own_address);

} // namespace pepsal
