#pragma once

#include <string_view>

#include "util/endpoint.hh"

namespace pepsal {

// Why no client beyond this machine can legitimately want to reach the address through it: it is unspecified, loopback,
// link-local or multicast (RFC 6890, RFC 4291), which no router forwards, or has no port. Empty if it can. The caller
// must check whether an address is this machine's own.
std::string_view forbidden_destination(const Endpoint& destination);

} // namespace pepsal
