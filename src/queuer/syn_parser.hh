#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "pepsal/connection.hh"

namespace pepsal {

// Reads an IP packet that begins with its IPv4 or IPv6 header (RFC 791, RFC 8200) and may have been
// cut after the first bytes by NFQUEUE's copy range. Returns what a SYN tells; the arrival interface
// is left 0. Nothing when the packet is not the whole header of an opening SYN (SYN set; ACK, RST
// and FIN clear), or anything about its lengths is doubtful: a fragment, a header that is cut or
// claims more than there is, an unknown extension header, a routing header with segments left, an
// IPv4-mapped address in IPv6, a source or destination port of 0.
//
// A TCP option whose length lies ends the options; what was read before it stands, as in RFC 9293
// section 3.1 receivers ignore what they cannot read.
std::optional<Connection> parse_syn(std::span<const std::byte> packet);

// Whose packet it is, and what it says of how it is to be treated.
struct Segment
{
  Endpoint source;
  Endpoint destination;
  std::uint8_t traffic_class{}; // DSCP in the upper six bits, ECN in the lower two

  auto operator<=>(const Segment&) const = default;
};

// The same for any segment of TCP, with the same doubts about lengths.
std::optional<Segment> parse_segment(std::span<const std::byte> packet);

} // namespace pepsal
