#pragma once

#include <vector>

#include "util/endpoint.hh"

namespace pepsal {

// Whether a client beyond this machine may want to reach `server` through it. Not unspecified, loopback, link-local,
// multicast, broadcast and reserved addresses (RFC 6890), which no router forwards, and not port 0. This machine's own
// addresses are told apart by OwnAddresses.
bool is_possible_destination(const Endpoint& server);

// The addresses of this machine's interfaces as they were when it was made (getifaddrs(3)): tens of microseconds.
class OwnAddresses
{
public:
  // Throws SystemError when the kernel cannot be asked.
  OwnAddresses();

  // Whatever the port.
  bool have(const Endpoint& endpoint) const;

private:
  std::vector<Endpoint> addresses_;
};

} // namespace pepsal
