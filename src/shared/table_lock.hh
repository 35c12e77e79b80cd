#pragma once

#include <optional>

#include <sys/types.h>

#include "pepsal/table.hh"

namespace pepsal::table_lock {

// Locks (fcntl(2)) on bytes of the table's file, each of which stands for a process: the first for the manager, the
// others for owners' numbers. They are the process's, not inherited by children, and end when it closes any descriptor
// of the file. A manager's is one for writing. Those of numbers are for reading, which is all that a child's descriptor
// allows: nobody who was taken over can have one that is taken for the manager's.

// Takes the manager's for this process; false when any process has a lock there.
bool take(int descriptor);

// The pid of another process that has the manager's.
std::optional<pid_t> find_manager(int descriptor);

// The pid of another process that has claimed this number.
std::optional<pid_t> find_holder(int descriptor, Owner owner);

// Locks a number by a descriptor to read. For a signal handler: what fails is not told.
void claim(int descriptor, Owner owner) noexcept;

} // namespace pepsal::table_lock
