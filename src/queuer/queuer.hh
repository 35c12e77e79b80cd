#pragma once

#include <cstdint>
#include <functional>

#include "config/config.hh"
#include "shared/connection_table.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// The queuer's work: binds NFQUEUE `number`, calls `on_ready`, then annotates SYNs in the table and gives
// their verdicts, marked as `marks` says, until it is killed. Returns never; throws SystemError when the
// queue cannot be bound or is lost. `dialler` is its end of a DialChannel, or empty: then clients are told at once that
// they are connected.
[[noreturn]] void run_queuer(const Marks& marks, ConnectionTable& table, Owner self, std::uint16_t number,
                             FileDescriptor dialler, const std::function<void()>& on_ready);

} // namespace pepsal
