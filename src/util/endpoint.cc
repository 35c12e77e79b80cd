// Addresses as sockets and log lines need them. Used wherever there is a socket. Nothing here can fail.

#include "util/endpoint.hh"

#include <cstring>
#include <iterator>

#include <fmt/format.h>
#include <netinet/in.h>

namespace pepsal {

SocketAddress::SocketAddress(const Endpoint& endpoint)
{
  if (endpoint.is_ipv4()) {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(endpoint.port);
    std::memcpy(&ipv4.sin_addr, endpoint.address.data() + Endpoint::ipv4_offset, sizeof ipv4.sin_addr);
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
  const auto address = endpoint.address_text();
  fmt::memory_buffer text;
  if (endpoint.is_ipv4()) {
    fmt::format_to(std::back_inserter(text), "{}:{}", address.data(), endpoint.port);
  } else {
    fmt::format_to(std::back_inserter(text), "[{}]:{}", address.data(), endpoint.port);
  }
  return fmt::formatter<fmt::string_view>::format({text.data(), text.size()}, context);
}
