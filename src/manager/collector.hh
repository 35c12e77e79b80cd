#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "manager/children.hh"
#include "shared/connection_table.hh"

namespace pepsal {

// Takes out of the table what nobody is left to take out: SYNs whose connection never came, and what dead proxies held.
class Collector
{
public:
  // Both must outlive it.
  Collector(Children& children, ConnectionTable& table)
      : children_{children}
      , table_{table}
  {}

  // Pending entries older than `lifetime` have expired. `reason` stands in the closing lines of dead proxies'
  // connections.
  void collect(std::chrono::seconds lifetime, std::string_view reason);

  // SYNs whose connection may still come, at the last collection.
  std::uint32_t pending() const { return pending_; }

private:
  void log_lost(const ConnectionTable::Entry& entry, std::string_view reason);

  Children& children_;
  ConnectionTable& table_;
  std::uint32_t pending_{};
};

} // namespace pepsal
