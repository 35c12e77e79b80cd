#pragma once

#include <chrono>
#include <optional>

#include <poll.h>

#include "config/config.hh"
#include "config/peers.hh"
#include "peer/handshake.hh"
#include "peer/peer_key.hh"
#include "tcp/route.hh"
#include "util/socket.hh"

namespace pepsal {

// A connection to a peer that is to become a warm one: connecting, then waiting for the welcome. Never blocks.
class WarmDial
{
public:
  using Time = std::chrono::steady_clock::time_point;

  enum class Stage
  {
    connecting,
    greeted,
    ready,
    failed
  };

  static constexpr std::chrono::seconds patience{15}; // in total; more than four round trips and a lost packet

  // Begins to connect. Throws SystemError if no socket is available or an option of the profile is refused.
  WarmDial(const Config& config, const Peer& peer, const PeerKey* key, const RouteSocket& routes, Time now);

  // What to wait for, until deadline().
  pollfd awaited() const;
  Time deadline() const { return deadline_; }

  // To be called after an event of awaited(); afterwards stage() tells how far it has got.
  void advance();
  void time_out() { fail(PeerProblem::timed_out); }

  Stage stage() const { return stage_; }
  PeerProblem problem() const { return problem_; } // when failed

  TCPSocket take_socket() { return std::move(socket_); } // when ready

private:
  void connect(const RouteSocket& routes);
  void greet();
  void read_welcome();
  void fail(PeerProblem problem);
  void fail_by(int error);

  const Config* config_;
  const Peer* peer_;
  const PeerKey* key_;
  const Link* link_{}; // through which the peer is reached; set before connecting
  Time deadline_;
  TCPSocket socket_;
  Stage stage_{Stage::connecting};
  PeerProblem problem_{};
  Greeting greeting_;
  std::array<std::byte, Welcome::bytes> welcome_{};
  std::size_t received_{};
};

} // namespace pepsal
