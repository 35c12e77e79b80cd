#pragma once

#include <functional>
#include <optional>

#include "shared/connection_table.hh"
#include "util/endpoint.hh"
#include "util/socket.hh"

namespace pepsal {

// Where an accepted connection wants to go, and its entry in the table.
struct Destination
{
  Connection connection;
  std::optional<ConnectionTable::Claim> claim; // none when the table is full
  bool redirected;                             // by nat REDIRECT: the client's address cannot be kept
};

// The destination of a connection that `client` is the accepted socket of, as netfilter brought it here: by TPROXY it
// is the socket's own address, by REDIRECT the kernel keeps it (SO_ORIGINAL_DST). The queuer's entry for exactly these
// two ends is claimed for `proxy`; where there is none (its queuer was killed, the table was full, it expired), one is
// made.
//
// Nothing for a connection that nobody steered here or that may not be dialled from here: to an address of this machine
// (`is_own`, asked once at most) or a forbidden_destination(). Whatever other pending entries its client has, it gets
// none of them.
std::optional<Destination> find_destination(ConnectionTable& table, const TCPSocket& client, const Endpoint& address,
                                            const std::function<bool(const Endpoint&)>& is_own, Owner proxy,
                                            BootTime now);

} // namespace pepsal
