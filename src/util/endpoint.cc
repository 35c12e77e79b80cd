// Addresses: between packets, sockets, the shared table and text. Nothing here can fail but parsing.

#include "util/endpoint.hh"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

namespace pepsal {

namespace {

constexpr std::array<std::uint8_t, 12> ipv4_mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t ipv4_offset = ipv4_mapped_prefix.size();

std::array<char, INET6_ADDRSTRLEN> address_text(const Endpoint& endpoint)
{
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (endpoint.is_ipv4()) {
    inet_ntop(AF_INET, endpoint.address.data() + ipv4_offset, text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, endpoint.address.data(), text.data(), text.size());
  }
  return text;
}

} // namespace

bool Endpoint::is_ipv4() const
{
  return std::equal(ipv4_mapped_prefix.begin(), ipv4_mapped_prefix.end(), address.begin());
}

std::string Endpoint::address_string() const
{
  return address_text(*this).data();
}

std::string Endpoint::to_string() const
{
  return fmt::format("{}", *this);
}

Endpoint Endpoint::from_ipv4(const std::uint8_t* four_bytes_network_order, std::uint16_t port)
{
  Endpoint result{.port = port};
  std::copy(ipv4_mapped_prefix.begin(), ipv4_mapped_prefix.end(), result.address.begin());
  std::copy_n(four_bytes_network_order, 4, result.address.begin() + ipv4_offset);
  return result;
}

Endpoint Endpoint::from_ipv6(const std::uint8_t* sixteen_bytes_network_order, std::uint16_t port)
{
  Endpoint result{.port = port};
  std::copy_n(sixteen_bytes_network_order, result.address.size(), result.address.begin());
  return result;
}

std::optional<Endpoint> Endpoint::parse(std::string_view numeric_address, std::uint16_t port)
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

SocketAddress::SocketAddress(const Endpoint& endpoint)
{
  if (endpoint.is_ipv4()) {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(endpoint.port);
    std::memcpy(&ipv4.sin_addr, endpoint.address.data() + ipv4_offset, sizeof ipv4.sin_addr);
    std::memcpy(&storage_, &ipv4, sizeof ipv4);
    length_ = sizeof ipv4;
  } else {
    sockaddr_in6 ipv6{};
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(endpoint.port);
    std::memcpy(&ipv6.sin6_addr, endpoint.address.data(), sizeof ipv6.sin6_addr);
    std::memcpy(&storage_, &ipv6, sizeof ipv6);
    length_ = sizeof ipv6;
  }
}

Endpoint SocketAddress::endpoint() const
{
  if (storage_.ss_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &storage_, sizeof ipv4);
    return Endpoint::from_ipv4(reinterpret_cast<const std::uint8_t*>(&ipv4.sin_addr), ntohs(ipv4.sin_port));
  }
  if (storage_.ss_family == AF_INET6) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, &storage_, sizeof ipv6);
    return Endpoint::from_ipv6(reinterpret_cast<const std::uint8_t*>(&ipv6.sin6_addr), ntohs(ipv6.sin6_port));
  }
  return {};
}

} // namespace pepsal

fmt::format_context::iterator fmt::formatter<pepsal::Endpoint>::format(const pepsal::Endpoint& endpoint,
                                                                       fmt::format_context& context) const
{
  const auto address = pepsal::address_text(endpoint);
  fmt::memory_buffer text;
  if (endpoint.is_ipv4()) {
    fmt::format_to(std::back_inserter(text), "{}:{}", address.data(), endpoint.port);
  } else {
    fmt::format_to(std::back_inserter(text), "[{}]:{}", address.data(), endpoint.port);
  }
  return fmt::formatter<fmt::string_view>::format({text.data(), text.size()}, context);
}
