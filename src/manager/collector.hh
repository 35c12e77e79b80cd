#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string_view>

#include "manager/children.hh"
#include "shared/connection_table.hh"

namespace pepsal {

// Removes from the table what nobody else will: SYNs whose connection never came, and what dead proxies held.
class Collector
{
public:
  // Both must outlive it.
  Collector(Children& children, ConnectionTable& table)
      : children_{children}
      , table_{table}
  {}

  // Frees pending entries older than `lifetime`. `reason` goes into the closing lines of dead proxies' connections, if
  // `log` asks for them.
  void collect(std::chrono::seconds lifetime, std::string_view reason, bool log);

  // The proxy with this number was killed by a command: its closing line will say so.
  void note_killed(Owner owner) { killed_.insert(owner); }
  bool is_killed(Owner owner) const { return killed_.contains(owner); }

  // SYNs whose connection may still come, as of the last collection.
  std::uint32_t pending() const { return pending_; }

private:
  void note_lost(const ConnectionTable::Entry& entry, std::string_view reason, bool log);

  Children& children_;
  ConnectionTable& table_;
  std::set<Owner> killed_; // and not collected yet
  std::uint32_t pending_{};
};

} // namespace pepsal
