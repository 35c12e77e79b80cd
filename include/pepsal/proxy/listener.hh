#pragma once

#include <string>

#include "pepsal/config/config.hh"
#include "pepsal/util/socket.hh"

namespace pepsal {

// Which side of the box a socket is on. Without a satellite interface both are terrestrial.
enum class Leg
{
  terrestrial,
  satellite
};

const LegProfile& profile_of(const Config& config, Leg leg);

// A socket that proxies accept on. What is set on it is in force on accepted connections from their
// handshake on, because they inherit it: mark, congestion control, timeouts, reset on close.
struct Listener
{
  TCPSocket socket;
  Leg leg;
  std::string interface; // connections arriving here only; empty: on any
};

// Opens the listener for all interfaces. Throws std::runtime_error with the mend when the port is taken
// or CAP_NET_ADMIN is missing, SystemError otherwise.
Listener open_listener(const Config& config);

// Applies a leg's profile to a socket, a listening or a dialling one. Throws SystemError naming the
// option that the kernel refused.
void apply_profile(TCPSocket& socket, const LegProfile& profile);

} // namespace pepsal
