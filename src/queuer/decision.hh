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
  bypass_client,         // its client has as many connections as one may have
  bypass_draining,       // the daemon is ending
  bypass_overloaded,     // the system has no process left, or proxies die at once
  bypass_authentication, // Unsplittable::authentication
  bypass_joining,        // Unsplittable::joining
  bypass_server,         // its server was asked first and did not accept
  bypass_waiting,        // too many wait for their servers or handshakes, or there is no dialler to ask
  bypass_crossing,       // both sides are opening the connection at once, and the other one's SYN came first
  bypass_destination     // its destination is never dialled: forbidden_destination()
};

// The counter of a decision.
Counter counter_of(Decision decision);

// The decision about a SYN by its contents and the state of the daemon; `intercept` means if the table has room for it.
Decision decide(const Connection& connection, bool draining, bool overloaded);

} // namespace pepsal
