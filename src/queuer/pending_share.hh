#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>

#include "shared/connection_table.hh"

namespace pepsal {

// This queuer's pending entries in order of creation. They may take a limited share of the table: beyond it, or when
// the table is full, the oldest is removed. A SYN whose entry has been removed loses what it said (its DSCP); its
// connection still finds its destination, because the kernel knows it.
class PendingShare
{
public:
  // The table must outlive it. `most` entries, at least one.
  PendingShare(ConnectionTable& table, std::size_t most)
      : table_{table}
      , most_{std::max<std::size_t>(most, 1)}
  {}

  // Adds an entry that was created or refreshed. True if an older one had to go.
  bool add(const ConnectionTable::Pending& entry)
  {
    entries_.push_back(entry);
    bool displaced = false;
    while (entries_.size() > most_) {
      displaced |= table_.displace(entries_.front());
      entries_.pop_front();
    }
    return displaced;
  }

  // Makes room for one more; false if none is still pending.
  bool displace_oldest()
  {
    while (!entries_.empty()) {
      const auto oldest = entries_.front();
      entries_.pop_front();
      if (table_.displace(oldest)) {
        return true;
      }
    }
    return false;
  }

private:
  ConnectionTable& table_;
  std::size_t most_;
  std::deque<ConnectionTable::Pending> entries_; // some may have been claimed, or appear twice
};

} // namespace pepsal
