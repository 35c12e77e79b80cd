#pragma once

#include <chrono>
#include <cstdint>

#include "config/config.hh"
#include "tcp/liveness.hh"
#include "util/socket.hh"

namespace pepsal {

// One of a connection's two sockets, and the state of its host, the client or the server.
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

  // Bytes that the host has not acknowledged, a FIN counting as one; the last known value if the leg has failed.
  std::uint32_t unacknowledged_bytes() const;

  // Turns off keepalives. A host whose stream has ended may have closed and forgotten the connection long ago: a reset
  // in answer to a probe would mean nothing.
  void stop_probing();

  // Records what ended the leg; the first error counts. A reset after the host's FIN is EPIPE, not ECONNRESET.
  void fail(int with_error);

  // From now on the leg is probed after this much silence, and at this interval.
  void set_keepalive(std::chrono::seconds interval);

  // Waits until the host has acknowledged everything, however long that takes while it is alive; returns 0, or the
  // errno that ends the leg.
  int deliver();

  // It was accepted half-open: its handshake must complete within handshake_patience, or the leg is given up.
  static constexpr std::chrono::seconds handshake_patience{30};
  void expect_handshake() { handshake_deadline = std::chrono::steady_clock::now() + handshake_patience; }
  bool handshake_is_late() const { return std::chrono::steady_clock::now() >= handshake_deadline; }

  // Once the host has ended its stream and has been sent the end of the other one, makes the kernel deliver what is in
  // flight if the process is killed from now on.
  void leave_rest_to_kernel();

  // Makes a close of the socket end the connection in good order instead of resetting it: the kernel delivers what is
  // left, for up to the user timeout.
  void end_in_good_order();

  TCPSocket socket;
  bool fin_arrived{}; // the host's stream has ended in good order, whether or not it has all been read
  bool fin_sent{};    // the other host's, after all its bytes
  bool probes{true};  // keepalives are sent
  int error{};        // errno that ended it
  bool is_silent{};   // it will cause no more events; what it has left can be read without waiting
  Liveness liveness;
  TcpFacts facts_before; // at the last observation
  std::chrono::seconds user_timeout;
  std::chrono::seconds usual_keepalive;
  std::chrono::seconds keepalive; // now
  std::chrono::steady_clock::time_point handshake_deadline{std::chrono::steady_clock::time_point::max()};
};

} // namespace pepsal
