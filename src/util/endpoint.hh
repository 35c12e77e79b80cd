#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>
#include <sys/socket.h>

namespace pepsal {

// An IP address and a TCP port. IPv4 is kept as an IPv4-mapped IPv6 address (RFC 4291 section
// 2.5.5.2), so one form serves both families, in packets, sockets and the shared table.
// Trivially copyable, with no padding, so that it may live in shared memory and be compared as bytes.
struct Endpoint
{
  std::array<std::uint8_t, 16> address{}; // network order
  std::uint16_t port{};                   // host order

  auto operator<=>(const Endpoint&) const = default;

  bool is_ipv4() const;

  // "10.0.0.2:80" or "[2001:db8::2]:80".
  std::string to_string() const;
  // The address alone: "10.0.0.2" or "2001:db8::2".
  std::string address_string() const;

  static Endpoint from_ipv4(const std::uint8_t* four_bytes_network_order, std::uint16_t port);
  static Endpoint from_ipv6(const std::uint8_t* sixteen_bytes_network_order, std::uint16_t port);

  // A numeric IPv4 or IPv6 address; nothing when the text is not one.
  static std::optional<Endpoint> parse(std::string_view numeric_address, std::uint16_t port);
};

// A socket address as the kernel wants it, with its length.
class SocketAddress
{
public:
  SocketAddress() = default;

  // IPv4 endpoints become AF_INET addresses, others AF_INET6.
  explicit SocketAddress(const Endpoint& endpoint);

  // The endpoint that the kernel wrote; an unspecified one when the family is neither IPv4 nor IPv6.
  Endpoint endpoint() const;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage_); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t& length() { return length_; }
  socklen_t length() const { return length_; }
  int family() const { return storage_.ss_family; }

private:
  sockaddr_storage storage_{};
  socklen_t length_{sizeof storage_};
};

} // namespace pepsal

// Endpoint::to_string() without the heap, for lines that are formatted once a connection.
template<> struct fmt::formatter<pepsal::Endpoint> : fmt::formatter<fmt::string_view>
{
  fmt::format_context::iterator format(const pepsal::Endpoint& endpoint, fmt::format_context& context) const;
};
