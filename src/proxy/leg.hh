#pragma once

#include <chrono>
#include <cstdint>

#include "config/config.hh"
#include "tcp/liveness.hh"
#include "util/socket.hh"

namespace pepsal {

// One of a connection's two sockets, and how it stands with its host: the client or the server.
struct Leg
{
  Leg(TCPSocket its_socket, const LegProfile& profile)
      : socket{std::move(its_socket)}
      , liveness{profile.user_timeout}
      , user_timeout{profile.user_timeout}
      , usual_keepalive{profile.keepalive}
      , keepalive{profile.keepalive}
  {}

  bool has_failed() const { return error != 0; }

  // Bytes that the host has not acknowledged, a FIN counting as one; it stays as it was when the leg failed.
  std::uint32_t unacknowledged_bytes() const;

  // No keepalives any more. A host whose stream has ended may have closed and forgotten the connection long ago: its
  // reset in answer to a probe would say nothing.
  void stop_probing();

  // Notes what ended the leg; the first error counts. A reset that comes after the host's FIN is EPIPE, not ECONNRESET.
  void fail(int with_error);

  // From now on the leg is probed after so much silence, and as often.
  void set_keepalive(std::chrono::seconds interval);

  // Waits until the host has acknowledged all, however long it takes while it lives; 0, or the errno that ends the leg.
  int deliver();

  // It was accepted half-open: its handshake is to end within handshake_patience, or it is given up.
  static constexpr std::chrono::seconds handshake_patience{30};
  void expect_handshake() { handshake_deadline = std::chrono::steady_clock::now() + handshake_patience; }
  bool handshake_is_late() const { return std::chrono::steady_clock::now() >= handshake_deadline; }

  // Once the host has ended its stream and been sent the other one's end, has the kernel deliver what is under way,
  // should the process be killed from now on.
  void leave_rest_to_kernel();

  // What is to happen when the socket is closed: the connection ends when all is delivered, which the kernel sees to
  // for the user timeout, instead of being reset.
  void end_in_good_order();

  TCPSocket socket;
  bool fin_arrived{}; // the host's stream ends in good order, all of it read or not
  bool fin_sent{};    // the other host's, behind all its bytes
  bool probes{true};  // keepalives are sent
  int error{};        // errno that ended it
  bool is_silent{};   // no more events come from it; what it has left can be read without waiting
  Liveness liveness;
  TcpFacts facts_before; // at the last observation
  std::chrono::seconds user_timeout;
  std::chrono::seconds usual_keepalive;
  std::chrono::seconds keepalive; // now
  std::chrono::steady_clock::time_point handshake_deadline{std::chrono::steady_clock::time_point::max()};
};

} // namespace pepsal
