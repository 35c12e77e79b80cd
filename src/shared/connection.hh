#pragma once

#include <cstdint>

#include "util/endpoint.hh"

namespace pepsal {

// What a SYN tells of the connection it opens (RFC 9293 section 3.1, RFC 7323, RFC 2018).
struct SynAttributes
{
  static constexpr std::uint8_t no_window_scale = 0xff;

  std::uint32_t arrival_interface{};          // index as in if_nametoindex(3); 0 if unknown
  std::uint16_t mss{};                        // bytes; 0 when the SYN carries no MSS option
  std::uint8_t window_scale{no_window_scale}; // shift, 0..14
  std::uint8_t traffic_class{};               // DSCP in the upper six bits, ECN in the lower two
  std::uint8_t ttl{};                         // TTL or hop limit on arrival
  bool sack_permitted{};
  bool timestamps{};
  std::uint8_t reserved{};

  auto operator<=>(const SynAttributes&) const = default;
};

// One intercepted connection as its client opened it.
struct Connection
{
  Endpoint client; // the SYN's source
  Endpoint server; // the SYN's destination: the original destination
  SynAttributes syn;

  auto operator<=>(const Connection&) const = default;
};

} // namespace pepsal
