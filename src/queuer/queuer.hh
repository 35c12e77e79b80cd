#pragma once

#include <cstdint>
#include <functional>

#include "config/config.hh"
#include "shared/connection_table.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// The queuer's work: binds NFQUEUE `number`, calls `on_ready`, then annotates SYNs in the table and gives their
// verdicts, with marks from `marks`, until it is killed. Never returns; throws SystemError if the queue cannot be bound
// or is lost. `dialler` is its end of a DialChannel, or empty: then handshakes with clients are completed at once.
[[noreturn]] void run_queuer(const Marks& marks, ConnectionTable& table, Owner self, std::uint16_t number,
                             FileDescriptor dialler, const std::function<void()>& on_ready);

} // namespace pepsal
