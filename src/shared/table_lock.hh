#pragma once

#include <optional>

#include <sys/types.h>

#include "pepsal/table.hh"

namespace pepsal::table_lock {

// Locks (fcntl(2)) on bytes of the table's file, each of which stands for a process: the first for the manager, the
// others for owners' numbers. They belong to the process, are not inherited by children, and end when the process
// closes any descriptor of the file. The manager's is a write lock. Those of numbers are read locks, which is all that
// a child's descriptor allows: no compromised process can hold one that is taken for the manager's.

// Takes the manager's lock for this process; false if any process holds a lock there.
bool take(int descriptor);

// The pid of another process that holds the manager's lock.
std::optional<pid_t> find_manager(int descriptor);

// The pid of another process that has claimed this number.
std::optional<pid_t> find_holder(int descriptor, Owner owner);

// Locks a number through a read-only descriptor. For use in a signal handler: failures are not reported.
void claim(int descriptor, Owner owner) noexcept;

} // namespace pepsal::table_lock
