#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <sys/types.h>

#include "pepsal/table.hh"
#include "shared/shared_segment.hh"

namespace pepsal {

// A proxy that continues to serve its connection although its manager was killed.
struct Orphan
{
  pid_t pid;
  Owner owner;
  std::uint16_t index; // its listener
  BootTime started;
};

// The proxies that a killed manager has left in this table, each identified by the lock on its number. Waits briefly
// for processes that are ending or have not taken their lock yet. Nothing if a remaining process may be one of them but
// cannot be identified as such: the table must then not be used.
std::optional<std::vector<Orphan>> find_orphans(const SharedSegment& segment);

} // namespace pepsal
