#pragma once

#include <functional>
#include <optional>

#include "shared/connection_table.hh"
#include "util/endpoint.hh"
#include "util/socket.hh"

namespace pepsal {

// The destination of an accepted connection, and its entry in the table.
struct Destination
{
  Connection connection;
  std::optional<ConnectionTable::Claim> claim; // none if the table is full
  bool redirected;                             // by nat REDIRECT: the client's address cannot be kept
};

// Finds the destination of the connection whose accepted socket is `client`, by the way netfilter steered it here:
// under TPROXY it is the socket's own address, under REDIRECT the kernel keeps it (SO_ORIGINAL_DST). The queuer's entry
// for exactly these two ends is claimed for `proxy`; if there is none (its queuer was killed, the table was full, it
// expired), one is created.
//
// Nothing for a connection that was not steered here or that may not be dialled from here: to an address of this
// machine (`is_own`, called at most once) or a forbidden_destination(). Such a connection gets none of its client's
// other pending entries.
std::optional<Destination> find_destination(ConnectionTable& table, const TCPSocket& client, const Endpoint& address,
                                            const std::function<bool(const Endpoint&)>& is_own, Owner proxy,
                                            BootTime now);

} // namespace pepsal
