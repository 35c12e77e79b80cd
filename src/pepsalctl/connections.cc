// Joins the table with the kernel's sockets. Called by every command that shows connections. Fails with SystemError if
// the kernel does not report its sockets.

#include "pepsalctl/connections.hh"

#include <array>
#include <ctime>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/core.h>
#include <net/if.h>
#include <sched.h>
#include <sys/stat.h>

#include "shared/connection_table.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

std::string interface_name(std::uint32_t index)
{
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(index, name.data()) != nullptr ? name.data() : std::to_string(index);
}

std::optional<Endpoint> ShownConnection::peer() const
{
  if (legs.server && legs.server->remote != entry.connection.server) {
    return legs.server->remote;
  }
  if (legs.client && legs.client->remote != entry.connection.client) {
    return legs.client->remote;
  }
  return std::nullopt;
}

void enter_network_of(std::int32_t pid)
{
  const FileDescriptor network{::open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC)};
  if (!network.is_open()) {
    return;
  }
  struct stat theirs
  {};
  struct stat ours
  {};
  if (::fstat(network.number(), &theirs) == 0 && ::stat("/proc/self/ns/net", &ours) == 0 &&
      theirs.st_ino != ours.st_ino) {
    static_cast<void>(::setns(network.number(), CLONE_NEWNET)); // refused: as said in the header
  }
}

SharedSegment open_running(const std::string& instance)
{
  auto segment = SharedSegment::open(instance, SharedSegment::Access::read_only);
  const auto manager = segment.header().manager_pid.load();
  if (!segment.has_manager()) {
    throw std::runtime_error{
        fmt::format("instance '{}' is not running: its manager {} has died and left its table", instance, manager)};
  }
  enter_network_of(manager);
  return segment;
}

std::vector<ShownConnection> connections_of(const SharedSegment& segment)
{
  const auto sockets = tcp_sockets();
  return connections_of(segment, Join{sockets, socket_inodes_of});
}

std::vector<ShownConnection> connections_of(const SharedSegment& segment, const Join& join)
{
  const auto view = segment.view();
  const auto now = boot_time_now();
  std::vector<ShownConnection> result;
  view.for_each([&](const TableEntry& entry) {
    const auto pid = view.process(entry.owner);
    result.push_back({.entry = entry,
                      .pid = pid,
                      .age = seconds_between(entry.since, now),
                      .interface = interface_name(entry.connection.syn.arrival_interface),
                      .legs = join.legs_of(entry, pid)});
  });
  return result;
}

const char* state_name(SlotState state)
{
  switch (state) {
  case SlotState::free:
    return "free";
  case SlotState::reserved:
    return "reserved";
  case SlotState::pending:
    return "pending";
  case SlotState::connecting:
    return "connecting";
  case SlotState::open:
    return "open";
  }
  return "unknown";
}

} // namespace pepsal
