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
  client_reserved_port, // another port below 1024, as some servers refuse clients that have none
  client_address,
  own
};

// From where a dial starts.
struct DialSource
{
  SourceBinding binding;
  std::uint16_t port; // 0: any
};

// What is tried first to keep the client's address and port, and what when `taken` is not available; nothing after the
// box's own address.
DialSource source_of(const Connection& connection);
std::optional<DialSource> next_source(const Connection& connection, const DialSource& taken);
constexpr DialSource own_source{.binding = SourceBinding::own, .port = 0};

// A server leg that is ready to be connected.
struct PreparedDial
{
  TCPSocket socket; // non-blocking; empty when it could not be bound
  int error{};      // errno: the source is not available
};

// Where a leg leaves the box.
struct Departure
{
  const Link* link;   // nullptr: on the terrestrial side
  std::uint32_t mark; // by which it is routed there
  bool to_peer{};     // there is a peer across the link, which takes a SYN's data without a cookie
};

// Makes the socket of a dial to `connection.server`: mark and profile of its leg, the SYN's DSCP, the hop limit that a
// router leaves of the SYN's, bound to the source. With `clients_sequence` its SYN has the sequence number of the
// client's, so that whoever sees both takes one for the other sent again: only for a source that is the client's own.
// Throws SystemError when there is no socket or an option of the profile is refused.
PreparedDial prepare_dial(const Config& config, const Connection& connection, const Departure& departure,
                          const DialSource& source, bool clients_sequence = false);

// Whether a dial failed for its source, so that another source may do.
bool source_is_at_fault(int error);

// How long to wait before the next look for the end of the connection before this one, which had the same ends: its
// client has reset it and come back at once by the same port. The old leg's reset thus goes before the new leg's SYN,
// and the port is free. `last` is the pause before this look, zero at first; nothing once no other process than `self`
// serves these ends, or after 127 ms in all.
std::optional<std::chrono::milliseconds> pause_for_old_leg(ConnectionTable& table, const Connection& connection,
                                                           Owner self, std::chrono::milliseconds last);

// Counts a leg that does not go the way of its client's packets, and logs it, once a minute.
void note_way(ConnectionTable& table, const Connection& connection, const LegWay& way);

// Counts a dial that was to come from the client's address and port, and came from `source`, and logs it, once a
// minute.
void note_source(ConnectionTable& table, const Connection& connection, SourceBinding source);

} // namespace pepsal
