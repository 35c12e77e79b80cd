#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "pepsal/connection.hh"

namespace pepsal {

// Parses an IP packet that begins with its IPv4 or IPv6 header (RFC 791, RFC 8200) and may have been truncated to
// NFQUEUE's copy range. Returns what a SYN says; the arrival interface is left 0. Nothing if the packet does not
// contain the whole header of an opening SYN (SYN set; ACK, RST and FIN clear), or if there is any doubt about its
// lengths: a fragment, a header that is truncated or claims more than there is, an unknown extension header, a routing
// header with segments left, an IPv4-mapped address in IPv6, a source or destination port of 0.
//
// A TCP option with a wrong length ends the options; what was read before it is kept, as receivers ignore what they
// cannot read (RFC 9293 section 3.1).
std::optional<Connection> parse_syn(std::span<const std::byte> packet);

// The ends and the traffic class of a packet.
struct Segment
{
  Endpoint source;
  Endpoint destination;
  std::uint8_t traffic_class{}; // DSCP in the upper six bits, ECN in the lower two

  auto operator<=>(const Segment&) const = default;
};

// The same for any TCP segment, with the same checks of lengths.
std::optional<Segment> parse_segment(std::span<const std::byte> packet);

} // namespace pepsal
