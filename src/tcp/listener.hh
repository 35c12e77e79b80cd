#pragma once

#include <string>
#include <vector>

#include "config/config.hh"
#include "util/socket.hh"

namespace pepsal {

// Which side of the box a socket is on: the satellite's if it arrived by, or is routed out of, a
// --satellite-interface.
enum class Leg
{
  terrestrial,
  satellite
};

const LegProfile& profile_of(const Config& config, Leg leg);

// A socket that proxies accept on. What is set on it is in force on accepted connections from their
// handshake on, because they inherit it: mark, congestion control, buffers, timeouts, reset on close.
struct Listener
{
  TCPSocket socket;
  Leg leg;
};

// Opens the listener for connections from anywhere, and one for each satellite interface, which the
// kernel prefers for what arrives there (SO_BINDTODEVICE, socket(7)). Throws std::runtime_error with the
// mend when the port is taken or CAP_NET_ADMIN is missing, SystemError naming the option that the kernel
// refused otherwise.
std::vector<Listener> open_listeners(const Config& config);

// Sets what new connections of this listener inherit: the profile of its leg, and Fast Open.
void configure(Listener& listener, const Config& config);

// The same after `before`, of which nothing stays but the buffers' sizes where `config` names none.
void reconfigure(Listener& listener, const Config& before, const Config& config);

// Applies a leg's profile to a socket, a listening or a dialling one. Throws SystemError naming the
// option that the kernel refused.
void apply_profile(TCPSocket& socket, const LegProfile& profile);

} // namespace pepsal
