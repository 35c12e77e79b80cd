#pragma once

#include <cstdint>

#include "pepsal/connection.hh"
#include "pepsal/counters.hh"

namespace pepsal {

// What to do with an opening SYN. All but `intercept` let it continue, to be answered by its server.
enum class Decision : std::uint8_t
{
  intercept,
  bypass_full,           // the table is full
  bypass_client,         // its client has reached its limit of connections or unfinished handshakes
  bypass_draining,       // the daemon is draining
  bypass_overloaded,     // no process can be started, or proxies die at once
  bypass_authentication, // Unsplittable::authentication
  bypass_joining,        // Unsplittable::joining
  bypass_server,         // its server was dialled first and did not accept
  bypass_waiting,        // too many are waiting for their servers or handshakes, or there is no dialler to ask
  bypass_crossing,       // both sides are opening the connection at once, and the other one's SYN came first
  bypass_destination     // its destination is never dialled: forbidden_destination()
};

// The counter of a decision.
Counter counter_of(Decision decision);

// The decision about a SYN by its contents and the state of the daemon; `intercept` means if the table has room for it.
Decision decide(const Connection& connection, bool draining, bool overloaded);

} // namespace pepsal
