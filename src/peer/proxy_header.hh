#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "util/endpoint.hh"

namespace pepsal {

// What precedes a client's bytes on a warm connection: a PROXY protocol header of version 2 (HAProxy's
// doc/proxy-protocol.txt, section 2.2), TCP over IPv4 or IPv6, with two TLVs of the range for custom use.
struct ProxyHeader
{
  Endpoint client; // both of the same family
  Endpoint server;
  std::uint8_t traffic_class{}; // TLV 0xE0: the SYN's; DSCP in the upper six bits
  std::uint8_t hops{};          // TLV 0xE1: warm connections that the client's bytes have crossed, including this one

  auto operator<=>(const ProxyHeader&) const = default;

  static constexpr std::size_t fixed_bytes = 16; // signature, version and command, family, length of the rest
  static constexpr std::size_t most_bytes = 256; // of a whole header that this program accepts; its own have 60 at most

  std::vector<std::byte> encode() const;

  // The length of the whole header that begins with these `fixed_bytes` bytes; nothing if they do not begin a header
  // that parse() could accept. To be called before reading more than the fixed part.
  static std::optional<std::size_t> length_of(std::span<const std::byte, fixed_bytes> beginning);

  // Parses exactly one whole header. Nothing if it is not version 2, the command is not PROXY, it is not TCP over IPv4
  // or IPv6, a length points outside, or a known TLV is malformed or repeated. Unknown TLVs are skipped.
  static std::optional<ProxyHeader> parse(std::span<const std::byte> header);
};

} // namespace pepsal
