#pragma once

#include "pepsal/table.hh"

namespace pepsal::test {

// The owner numbers that tests of the table give its processes.
inline constexpr Owner queuer = 1;
inline constexpr Owner proxy = 2;

} // namespace pepsal::test
