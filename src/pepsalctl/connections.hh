#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pepsalctl/join.hh"
#include "shared/shared_segment.hh"

namespace pepsal {

// One entry of the table with what the kernel reports about it.
struct ShownConnection
{
  TableEntry entry;
  std::int32_t pid{};                  // the proxy's, 0 while there is none
  std::chrono::duration<double> age{}; // since the SYN, later since a proxy took it
  std::string interface;               // where the SYN arrived
  Legs legs;

  std::uint32_t id() const { return entry.slot; } // may be reused once this one has ended
  // The peer that one of the legs goes to or comes from; nothing if both legs go to the connection's own ends.
  std::optional<Endpoint> peer() const;
};

// Moves this thread into the network namespace of the process `pid`, if permitted; otherwise it stays where it is, and
// interfaces and sockets are those of the caller's namespace.
void enter_network_of(std::int32_t pid);

// The table of a running daemon, whose network namespace this thread enters. Throws std::runtime_error if there is
// none, or it may not be read.
SharedSegment open_running(const std::string& instance);

// All entries of the table. Throws SystemError if the kernel does not report its sockets.
std::vector<ShownConnection> connections_of(const SharedSegment& segment);
// The same, given the sockets.
std::vector<ShownConnection> connections_of(const SharedSegment& segment, const Join& join);

// The name of an interface, or its number if it no longer exists.
std::string interface_name(std::uint32_t index);

// "pending", "connecting", "open".
const char* state_name(SlotState state);

} // namespace pepsal
