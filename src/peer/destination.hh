#pragma once

#include <string_view>

#include "util/endpoint.hh"

namespace pepsal {

// Why a peer may not have this box dial the address in a client's name: it is unspecified, loopback, link-local or
// multicast (RFC 6890, RFC 4291), or an IPv6 address that carries such an IPv4 one. Empty when it may.
// Whether an address is the box's own is for the caller to find out.
std::string_view forbidden_destination(const Endpoint& destination);

} // namespace pepsal
