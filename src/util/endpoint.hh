#pragma once

#include <fmt/core.h>
#include <sys/socket.h>

#include "pepsal/connection.hh"

namespace pepsal {

// A socket address as the kernel takes it, with its length.
class SocketAddress
{
public:
  SocketAddress() = default;

  // IPv4 endpoints become AF_INET addresses, others AF_INET6.
  explicit SocketAddress(const Endpoint& endpoint);

  // The endpoint that the kernel wrote; an unspecified one if the family is neither IPv4 nor IPv6.
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

// Endpoint::to_string() without the heap, for lines that are formatted once per connection.
template<> struct fmt::formatter<pepsal::Endpoint> : fmt::formatter<fmt::string_view>
{
  fmt::format_context::iterator format(const pepsal::Endpoint& endpoint, fmt::format_context& context) const;
};
