#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.hh"
#include "util/socket.hh"

namespace pepsal {

// The profile of a leg whose socket arrived by, or is routed out of, this link's interface, with the buffers that
// follow from the link; nullptr stands for the terrestrial side.
LegProfile profile_of(const Config& config, const Link* link);

// A socket that proxies accept on. What is set on it is in force on accepted connections from their
// handshake on, because they inherit it: mark, congestion control, buffers, timeouts, reset on close.
struct Listener
{
  TCPSocket socket;
  std::string interface; // of the link whose connections arrive here; empty for those of everywhere else
  bool for_peers{};      // warm connections arrive here, not clients'
};

// The link of what arrives at this listener; nullptr: the terrestrial side, and so is a link that `config` has no more.
const Link* link_of(const Listener& listener, const Config& config);

// Opens the listener for connections from anywhere, and one for each link's interface, which the
// kernel prefers for what arrives there (SO_BINDTODEVICE, socket(7)). Throws std::runtime_error with the
// remedy when the port is taken or CAP_NET_ADMIN is missing, SystemError naming the option that the kernel
// refused otherwise. What is among `kept`, of a program before this one in the same process, is taken from there.
std::vector<Listener> open_listeners(const Config& config, std::vector<Listener>& kept);

// Takes the listener of this interface out of `kept`, if it is there and still bound to the interface that has the name
// now.
std::optional<Listener> take_kept(std::vector<Listener>& kept, const std::string& interface, bool for_peers);

// A socket is bound to an interface by its number, and one that is made again under the same name has another. Whether
// this listener's interface has gone, while another has its name.
bool has_lost_interface(const Listener& listener);

// Proxies that wait for a connection have the listener, too, and one that was taken over can close it for all, or
// change it. Whether it still listens; and what sets again all that was set on it, for which it throws as
// open_listeners() does.
bool listens(const Listener& listener);
void restore(Listener& listener, const Config& config);

// A new listener for the interface of `listeners[index]`, in its place; the first one is the general one. Throws as
// open_listeners() does, and then nothing has changed.
void bind_again(std::vector<Listener>& listeners, std::size_t index, const Config& config);

// Sets what new connections of this listener inherit: the profile of its side, and Fast Open.
void configure(Listener& listener, const Config& config);

// The same after `before`, of which nothing stays but the buffers' sizes where `config` names none.
void reconfigure(Listener& listener, const Config& before, const Config& config);

// Applies a leg's profile to a socket, a listening or a dialling one. Throws SystemError naming the
// option that the kernel refused.
void apply_profile(TCPSocket& socket, const LegProfile& profile);

} // namespace pepsal
