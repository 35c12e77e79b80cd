#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.hh"
#include "util/socket.hh"

namespace pepsal {

// The profile of a leg whose socket arrived on, or is routed out of, this link's interface, with the buffers that
// follow from the link; nullptr means the terrestrial side.
LegProfile profile_of(const Config& config, const Link* link);

// A socket on which proxies accept. Accepted connections inherit its settings from their handshake on: mark, congestion
// control, buffers, timeouts, reset on close.
struct Listener
{
  TCPSocket socket;
  std::string interface; // of the link whose connections arrive here; empty for all others
  bool for_peers{};      // warm connections arrive here, not clients'
};

// The link of the connections that arrive at this listener; nullptr for the terrestrial side, and for a link that
// `config` no longer has.
const Link* link_of(const Listener& listener, const Config& config);

// Opens the listener for connections from anywhere, and one for each link's interface, which the kernel prefers for
// what arrives there (SO_BINDTODEVICE, socket(7)). Those found in `kept`, from an earlier program in the same process,
// are taken from there. Throws std::runtime_error with the remedy if the port is taken or CAP_NET_ADMIN is missing,
// otherwise SystemError naming the option that the kernel refused.
std::vector<Listener> open_listeners(const Config& config, std::vector<Listener>& kept);

// Takes the listener of this interface out of `kept`, if it is there and still bound to the interface that has this
// name now.
std::optional<Listener> take_kept(std::vector<Listener>& kept, const std::string& interface, bool for_peers);

// Whether this listener's interface has gone while another has its name: a socket is bound to an interface by its
// index, and an interface recreated under the same name has another.
bool has_lost_interface(const Listener& listener);

// Whether it still listens. Proxies that wait for a connection have the listener's descriptor too, and a compromised
// one can close or change it for all.
bool listens(const Listener& listener);
// Sets again everything that was set on it. Throws as open_listeners() does.
void restore(Listener& listener, const Config& config);

// Replaces `listeners[index]` by a new listener for its interface; the first one is the general one. Throws as
// open_listeners() does, and then nothing has changed.
void bind_again(std::vector<Listener>& listeners, std::size_t index, const Config& config);

// Sets what new connections of this listener inherit: the profile of its side, and Fast Open.
void configure(Listener& listener, const Config& config);

// The same after `before`, of which nothing remains except the buffers' sizes if `config` names none.
void reconfigure(Listener& listener, const Config& before, const Config& config);

// Applies a leg's profile to a listening or dialling socket. Throws SystemError naming the option that the kernel
// refused.
void apply_profile(TCPSocket& socket, const LegProfile& profile);

} // namespace pepsal
