#pragma once

#include <chrono>
#include <optional>

#include "config/config.hh"
#include "pepsal/connection.hh"
#include "shared/connection_table.hh"
#include "tcp/leg_way.hh"
#include "util/socket.hh"

namespace pepsal {

enum class SourceBinding
{
  client_address_and_port,
  client_reserved_port, // another port below 1024, because some servers refuse clients without one
  client_address,
  own
};

// The source of a dial.
struct DialSource
{
  SourceBinding binding;
  std::uint16_t port; // 0: any
};

// The first source to try in order to keep the client's address and port, and the next one if `taken` is not available;
// nothing after the box's own address.
DialSource source_of(const Connection& connection);
std::optional<DialSource> next_source(const Connection& connection, const DialSource& taken);
constexpr DialSource own_source{.binding = SourceBinding::own, .port = 0};

// A server leg that is ready to connect.
struct PreparedDial
{
  TCPSocket socket; // non-blocking; empty if it could not be bound
  int error{};      // errno: the source is not available
};

// How a leg leaves the box.
struct Departure
{
  const Link* link;   // nullptr: on the terrestrial side
  std::uint32_t mark; // that routes it there
  bool to_peer{};     // there is a peer across the link that accepts a SYN's data without a cookie
};

// Makes the socket for a dial to `connection.server`, with the mark and profile of its leg, the SYN's DSCP and the hop
// limit that a router would leave of the SYN's, bound to the source. With `clients_sequence`, its SYN has the sequence
// number of the client's, so that anyone who sees both takes one for a retransmission of the other; only for a source
// that is the client's own. Throws SystemError if there is no socket or an option of the profile is refused.
PreparedDial prepare_dial(const Config& config, const Connection& connection, const Departure& departure,
                          const DialSource& source, bool clients_sequence = false);

// Whether a dial failed because of its source, so that another source may work.
bool source_is_at_fault(int error);

// How long to wait before checking again whether the previous connection with the same ends, which the client has reset
// before connecting again from the same port, has ended. The old leg's reset then precedes the new leg's SYN, and the
// port is free. `last` is the pause before this check, zero at first; nothing once no process other than `self` serves
// these ends, or after 127 ms in total.
std::optional<std::chrono::milliseconds> pause_for_old_leg(ConnectionTable& table, const Connection& connection,
                                                           Owner self, std::chrono::milliseconds last);

// Counts a leg that does not take the way of its client's packets, and logs it at most once a minute.
void note_way(ConnectionTable& table, const Connection& connection, const LegWay& way);

// Counts a dial that should have come from the client's address and port but came from `source`, and logs it at most
// once a minute.
void note_source(ConnectionTable& table, const Connection& connection, SourceBinding source);

} // namespace pepsal
