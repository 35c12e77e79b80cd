#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pepsalctl/join.hh"
#include "shared/shared_segment.hh"

namespace pepsal {

// One entry of the table with what the kernel says of it.
struct ShownConnection
{
  TableEntry entry;
  std::int32_t pid{};                  // the proxy's, 0 while there is none
  std::chrono::duration<double> age{}; // since the SYN, later since a proxy took it
  std::string interface;               // where the SYN arrived
  Legs legs;

  std::uint32_t id() const { return entry.slot; } // others may have it when this one has ended
  // The peer that one of the legs goes to or comes from; nothing when both are the connection's own ends.
  std::optional<Endpoint> peer() const;
};

// Makes this thread see the network namespace of the process `pid`, where it may; else it stays where it is, and
// interfaces and sockets are those of the caller's.
void enter_network_of(std::int32_t pid);

// The table of a running daemon, whose network namespace this thread sees from then on. Throws std::runtime_error when
// there is none, or it may not be read.
SharedSegment open_running(const std::string& instance);

// All entries of the table. Throws SystemError when the kernel does not tell of its sockets.
std::vector<ShownConnection> connections_of(const SharedSegment& segment);
// The same with the sockets as they were told.
std::vector<ShownConnection> connections_of(const SharedSegment& segment, const Join& join);

// The name of an interface, or its number when there is none of that number any more.
std::string interface_name(std::uint32_t index);

// "pending", "connecting", "open".
const char* state_name(SlotState state);

} // namespace pepsal
