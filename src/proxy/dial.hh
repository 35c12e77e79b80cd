#pragma once

#include <string>

#include "config/config.hh"
#include "dial/attempt.hh"
#include "pepsal/connection.hh"
#include "tcp/listener.hh"
#include "util/socket.hh"

namespace pepsal {

// How a dial ended.
enum class DialEnd
{
  connected,
  failed,
  client_gone
};

struct DialResult
{
  DialEnd end;
  TCPSocket socket;            // non-blocking, when connected
  int error{};                 // errno of a failed dial
  std::uint64_t first_bytes{}; // of the client's bytes, taken from its socket and carried by the SYN
  SourceBinding source{};      // of the last attempt
};

// One word for the reason of a closing line: "refused", "timeout", "unreachable" or "error-N".
std::string dial_failure(int error);

// Waits as pause_for_old_leg() says; `self` is this process. False if the client resets this connection meanwhile.
bool wait_for_old_leg(ConnectionTable& table, const Connection& connection, const TCPSocket& client, Owner self);

// Dials `connection.server` on behalf of `client` (the accepted socket), from the client's address and port if
// `preserve_source`. If that exact binding is taken, it dials from the client's address and another port (below 1024 if
// the client's was), then from the box's own address. DSCP is the SYN's, and the hop limit what a router would leave of
// the SYN's. Gives up when the client resets the connection or --connect-timeout expires. With --fastopen, a dial on
// the satellite side carries in its SYN what the client sends within its first milliseconds (RFC 7413; without a cookie
// to what lies behind a peer), unless told not to. Throws SystemError if an option of the profile is refused, or if no
// socket was available for the whole --connect-timeout.
DialResult dial(const Config& config, const Connection& connection, const TCPSocket& client, const Departure& departure,
                bool preserve_source, bool with_first_bytes = true);

} // namespace pepsal
