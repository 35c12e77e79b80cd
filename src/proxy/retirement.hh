#pragma once

#include <csignal>

#include <sys/types.h>

#include "pepsal/table.hh"

namespace pepsal::retirement {

// How a proxy's process is told to end. SIGTERM retires it: it ends when it is next idle. When the manager dies, an
// idle proxy ends at once; a busy one closes its listener, which frees the port, and locks its number in the table, by
// which the next manager recognizes it (SharedSegment::claim_number()).

struct Proxy
{
  pid_t manager;
  int listener;     // descriptors
  int table_memory; // read-only
  Owner self;
};

// Installs the handlers and unblocks all signals. Once per process.
void prepare(const Proxy& proxy);

// Not 0 if this process is to end. May change at any instruction.
const volatile std::sig_atomic_t& requested();

// Whether a connection would be lost if this process ended now.
void set_busy(bool busy);

// The listener is closed already.
void forget_listener();

} // namespace pepsal::retirement
