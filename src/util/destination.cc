// Which addresses a proxied connection may lead to. Asked by the queuer before it notes a SYN, and by a proxy before it
// dials. Only reading the list of interfaces can fail.

#include "util/destination.hh"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include <ifaddrs.h>
#include <netinet/in.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

struct Prefix
{
  std::array<std::uint8_t, 4> start;
  unsigned bits;
};

bool matches(std::span<const std::uint8_t> address, const Prefix& prefix)
{
  for (unsigned bit = 0; bit < prefix.bits; bit += 8) {
    const unsigned left = std::min(prefix.bits - bit, 8U);
    const auto mask = static_cast<std::uint8_t>(0xff00U >> left);
    if (((address[bit / 8] ^ prefix.start[bit / 8]) & mask) != 0) {
      return false;
    }
  }
  return true;
}

constexpr std::array ipv4_nowhere{
    Prefix{{0, 0, 0, 0}, 8},      // this network
    Prefix{{127, 0, 0, 0}, 8},    // loopback
    Prefix{{169, 254, 0, 0}, 16}, // link-local
    Prefix{{224, 0, 0, 0}, 4},    // multicast
    Prefix{{240, 0, 0, 0}, 4},    // reserved, and broadcast
};

constexpr std::array ipv6_nowhere{
    Prefix{{0xfe, 0x80, 0, 0}, 10}, // link-local
    Prefix{{0xff, 0, 0, 0}, 8},     // multicast
};

bool is_unspecified_or_loopback(std::span<const std::uint8_t> ipv6)
{
  return std::all_of(ipv6.begin(), ipv6.end() - 1, [](auto byte) { return byte == 0; }) && ipv6.back() <= 1;
}

} // namespace

bool is_possible_destination(const Endpoint& server)
{
  constexpr std::size_t ipv4_offset = 12; // in an IPv4-mapped address
  const std::span<const std::uint8_t> address{server.address};
  if (server.port == 0) {
    return false;
  }
  if (server.is_ipv4()) {
    return std::none_of(ipv4_nowhere.begin(), ipv4_nowhere.end(),
                        [&](const auto& prefix) { return matches(address.subspan(ipv4_offset), prefix); });
  }
  return !is_unspecified_or_loopback(address) &&
         std::none_of(ipv6_nowhere.begin(), ipv6_nowhere.end(),
                      [&](const auto& prefix) { return matches(address, prefix); });
}

OwnAddresses::OwnAddresses()
{
  ifaddrs* list = nullptr;
  check("getifaddrs", ::getifaddrs(&list));
  for (const auto* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)) {
      continue;
    }
    SocketAddress address;
    std::memcpy(address.get(), i->ifa_addr,
                i->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    addresses_.push_back(address.endpoint());
  }
  ::freeifaddrs(list);
}

bool OwnAddresses::have(const Endpoint& endpoint) const
{
  return std::any_of(addresses_.begin(), addresses_.end(),
                     [&](const auto& own) { return own.address == endpoint.address; });
}

} // namespace pepsal
