// Which addresses a proxied connection may lead to, as far as the address alone tells. Called by the queuer before it
// records a SYN, and by proxies before they dial.

#include "util/destination.hh"

#include <algorithm>

namespace pepsal {

namespace {

std::string_view forbidden_ipv4(const std::uint8_t* address)
{
  if (address[0] == 0) {
    return "unspecified";
  }
  if (address[0] == 127) {
    return "loopback";
  }
  if (address[0] == 169 && address[1] == 254) {
    return "link-local";
  }
  return address[0] >= 224 ? "multicast" : ""; // including broadcast and reserved ones
}

} // namespace

std::string_view forbidden_destination(const Endpoint& destination)
{
  constexpr std::size_t ipv4_offset = 12;
  const auto& address = destination.address;
  if (destination.port == 0) {
    return "without a port";
  }
  if (destination.is_ipv4()) {
    return forbidden_ipv4(address.data() + ipv4_offset);
  }
  // ::/96 contains the unspecified address, loopback and the deprecated IPv4-compatible ones (RFC 4291 section
  // 2.5.5.1).
  if (std::all_of(address.begin(), address.begin() + ipv4_offset, [](auto byte) { return byte == 0; })) {
    return "unspecified or loopback";
  }
  if (address[0] == 0xfe && (address[1] & 0xc0U) == 0x80) {
    return "link-local";
  }
  return address[0] == 0xff ? "multicast" : "";
}

} // namespace pepsal
