#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <arpa/inet.h>

// What the shared table records about a connection: its two ends and its SYN. Needs nothing but the C++ library and
// inet_ntop(3), so that other programs can include it.
namespace pepsal {

// An IP address and a TCP port. IPv4 is kept as an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), so one form
// serves both families, in packets, sockets and the shared table. Trivially copyable, with no padding, so that it may
// live in shared memory and be compared as bytes.
struct Endpoint
{
  static constexpr std::array<std::uint8_t, 12> ipv4_mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr std::size_t ipv4_offset = ipv4_mapped_prefix.size();

  std::array<std::uint8_t, 16> address{}; // network order
  std::uint16_t port{};                   // host order

  auto operator<=>(const Endpoint&) const = default;

  bool is_ipv4() const { return std::equal(ipv4_mapped_prefix.begin(), ipv4_mapped_prefix.end(), address.begin()); }

  // "10.0.0.2:80" or "[2001:db8::2]:80".
  std::string to_string() const
  {
    return (is_ipv4() ? address_string() : '[' + address_string() + ']') + ':' + std::to_string(port);
  }

  // The address alone: "10.0.0.2" or "2001:db8::2".
  std::string address_string() const { return address_text().data(); }

  std::array<char, INET6_ADDRSTRLEN> address_text() const
  {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const bool ipv4 = is_ipv4();
    inet_ntop(ipv4 ? AF_INET : AF_INET6, address.data() + (ipv4 ? ipv4_offset : 0), text.data(), text.size());
    return text;
  }

  static Endpoint from_ipv4(const std::uint8_t* four_bytes_network_order, std::uint16_t port)
  {
    Endpoint result{.port = port};
    std::copy(ipv4_mapped_prefix.begin(), ipv4_mapped_prefix.end(), result.address.begin());
    std::copy_n(four_bytes_network_order, 4, result.address.begin() + ipv4_offset);
    return result;
  }

  static Endpoint from_ipv6(const std::uint8_t* sixteen_bytes_network_order, std::uint16_t port)
  {
    Endpoint result{.port = port};
    std::copy_n(sixteen_bytes_network_order, result.address.size(), result.address.begin());
    return result;
  }

  // A numeric IPv4 or IPv6 address; nothing if the text is not one.
  static std::optional<Endpoint> parse(std::string_view numeric_address, std::uint16_t port)
  {
    const std::string text{numeric_address};
    std::array<std::uint8_t, 16> bytes{};
    if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
      return from_ipv4(bytes.data(), port);
    }
    if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
      return from_ipv6(bytes.data(), port);
    }
    return std::nullopt;
  }
};

// What a SYN asks for that a split connection cannot provide.
enum class Unsplittable : std::uint8_t
{
  nothing,
  authentication, // TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925): each segment is signed by its sender
  joining         // MP_JOIN (RFC 8684 section 3.2): it belongs to an existing connection
};

// What a SYN says about the connection it opens (RFC 9293 section 3.1, RFC 7323, RFC 2018).
struct SynAttributes
{
  static constexpr std::uint8_t no_window_scale = 0xff;

  // ECN's two bits of the traffic class belong to TCP (RFC 3168); the rest is the DSCP (RFC 2474).
  static constexpr std::uint8_t dscp_mask = 0xfc;
  constexpr std::uint8_t dscp() const { return traffic_class & dscp_mask; }

  std::uint32_t arrival_interface{};          // index as in if_nametoindex(3); 0 if unknown
  std::uint32_t initial_sequence{};           // sequence number of the SYN itself
  std::uint16_t mss{};                        // bytes; 0 if the SYN carries no MSS option
  std::uint8_t window_scale{no_window_scale}; // shift, 0..14
  std::uint8_t traffic_class{};               // DSCP in the upper six bits, ECN in the lower two
  std::uint8_t ttl{};                         // TTL or hop limit on arrival
  bool sack_permitted{};
  bool timestamps{};
  Unsplittable unsplittable{};

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
