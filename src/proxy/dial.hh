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
  std::uint64_t first_bytes{}; // of the client's, taken from its socket and carried by the SYN
  SourceBinding source{};      // of the last attempt
};

// One word for the reason of a closing line: "refused", "timeout", "unreachable" or "error-N".
std::string dial_failure(int error);

// Waits as pause_for_old_leg() says; `self` is this process. False when the client resets this connection meanwhile.
bool wait_for_old_leg(ConnectionTable& table, const Connection& connection, const TCPSocket& client, Owner self);

// Dials `connection.server` on behalf of `client` (the accepted socket), from the client's address and port if
// `preserve_source`. Where that exact binding is taken, from its address and another port (one below 1024 instead of
// such a one), then from the box's own. DSCP is the SYN's, and the hop limit what a router leaves of the SYN's. Gives
// up when the client resets meanwhile or --connect-timeout is over. With --fastopen a dial on the satellite leg carries
// in its SYN what the client sends within its first milliseconds (RFC 7413; without cookie to what lies behind a peer),
// unless it is told to leave them. Throws SystemError when an option of the profile is refused, or there was no socket
// for as long as --connect-timeout.
DialResult dial(const Config& config, const Connection& connection, const TCPSocket& client, const Departure& departure,
                bool preserve_source, bool with_first_bytes = true);

} // namespace pepsal
