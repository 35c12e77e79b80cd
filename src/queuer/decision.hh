#pragma once

#include <cstdint>

#include "pepsal/connection.hh"
#include "pepsal/counters.hh"

namespace pepsal {

// What becomes of an opening SYN. All but `intercept` let it go on, to be answered by its server.
enum class Decision : std::uint8_t
{
  intercept,
  bypass_full,           // the table has no room for it
  bypass_client,         // its client has as many connections as one may have
  bypass_draining,       // the daemon is ending
  bypass_overloaded,     // the system has no process left, or proxies die at once
  bypass_authentication, // Unsplittable::authentication
  bypass_joining,        // Unsplittable::joining
  bypass_server,         // its server was asked and did not accept
  bypass_waiting,        // too many wait for their servers or their handshakes, or nobody is there to ask
  bypass_crossing,       // both sides open the connection at once, and the other one's SYN came first
  bypass_destination     // to where nothing is dialled: forbidden_destination()
};

// What a decision counts as.
Counter counter_of(Decision decision);

// The decision about a SYN by what it says and by the state of the daemon; `intercept` if the table has room for it.
Decision decide(const Connection& connection, bool draining, bool overloaded);

} // namespace pepsal
