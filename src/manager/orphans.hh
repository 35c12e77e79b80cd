#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <sys/types.h>

#include "pepsal/table.hh"
#include "shared/shared_segment.hh"

namespace pepsal {

// A proxy that goes on with its connection although its manager was killed.
struct Orphan
{
  pid_t pid;
  Owner owner;
  std::uint16_t index; // its listener
  BootTime started;
};

// Those that a manager which was killed has left in this table, each known by the lock on its number. Waits a moment
// for processes that are ending, or have not locked yet. Nothing if a process is left that may be one of them and does
// not show that it is: the table must then not be used.
std::optional<std::vector<Orphan>> find_orphans(const SharedSegment& segment);

} // namespace pepsal
