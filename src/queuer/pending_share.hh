#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>

#include "shared/connection_table.hh"

namespace pepsal {

// This queuer's pending entries in the order of their making. They may take a share of the table and no more: beyond it
// the oldest goes, and also when the table is full. A SYN whose entry has gone loses what it told (its DSCP); its
// connection finds its destination all the same, as the kernel knows it.
class PendingShare
{
public:
  // The table must outlive it. `most` entries, at least one.
  PendingShare(ConnectionTable& table, std::size_t most)
      : table_{table}
      , most_{std::max<std::size_t>(most, 1)}
  {}

  // Notes an entry that was made or refreshed. True if an older one had to go.
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

  // Makes room for one more; false when none is left that is still pending.
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
  std::deque<ConnectionTable::Pending> entries_; // some may have been claimed, or be here twice
};

} // namespace pepsal
