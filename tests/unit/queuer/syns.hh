#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "packet.hh"
#include "queuer/syn_parser.hh"

namespace pepsal::test {

inline std::optional<Connection> parse(const Bytes& packet)
{
  const Bytes exact{packet}; // so that AddressSanitizer sees a read past its end
  return parse_syn(std::as_bytes(std::span{exact.data(), exact.size()}));
}

constexpr std::uint32_t initial_sequence = 0x12345678;

inline Connection ipv4_connection()
{
  return {.client = *Endpoint::parse("10.0.0.2", 41234),
          .server = *Endpoint::parse("93.184.216.34", 443),
          .syn = {.initial_sequence = initial_sequence, .traffic_class = 0x8a, .ttl = 63}};
}

inline Connection ipv6_connection()
{
  return {.client = *Endpoint::parse("2001:db8::2", 41234),
          .server = *Endpoint::parse("2606:2800:220::22", 443),
          .syn = {.initial_sequence = initial_sequence, .traffic_class = 0xb9, .ttl = 61}};
}

inline Bytes with_byte(Bytes packet, std::size_t offset, unsigned value)
{
  packet.at(offset) = static_cast<std::uint8_t>(value);
  return packet;
}

inline Bytes with_u16(Bytes packet, std::size_t offset, std::size_t value)
{
  put_u16(packet, offset, value);
  return packet;
}

constexpr std::size_t ipv4_tcp = 20; // where TCP begins after a header without options
constexpr std::size_t ipv6_tcp = 40;
constexpr std::size_t data_offset = 12; // in the TCP header

constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t routing = 43;
constexpr std::uint8_t fragment = 44;
constexpr std::uint8_t encapsulating = 50;
constexpr std::uint8_t authentication = 51;
constexpr std::uint8_t no_next = 59;
constexpr std::uint8_t destination_options = 60;

} // namespace pepsal::test
