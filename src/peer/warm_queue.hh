#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "util/file_descriptor.hh"
#include "util/socket.hh"

namespace pepsal {

// One peer's warm connections on their way from its keeper, which made them, to the proxies, which use them: a pair of
// UNIX sockets that holds descriptors (SCM_RIGHTS, unix(7)). A proxy takes one without asking anybody, and the kernel
// hands each to one taker only. The manager makes the queue before it forks; keeper and proxies inherit it.
class WarmQueue
{
public:
  struct Ticket
  {
    TCPSocket socket;
    std::uint64_t serial;
  };

  WarmQueue();

  // For a child that only takes. It has no descriptor of the other end, through which it could pass off connections of
  // its own making to other proxies.
  WarmQueue take_taking_end() { return WarmQueue{std::move(taking_end_)}; }
  int taking_end() const { return taking_end_.number(); }

  // Keeper: adds a connection; its own descriptor stays open, so that it notices when the peer goes away. False if the
  // queue is full.
  bool give(const TCPSocket& socket, std::uint64_t serial);

  // The next connection, if there is one; never waits. Tells the keeper.
  std::optional<Ticket> take();

  // Tells the keeper that the peer no longer knew a connection that was taken: it gives up all that are ready.
  void report_lost(std::uint64_t serial);

  // Keeper: takes back all that nobody has taken yet, without telling anyone.
  std::vector<Ticket> take_back();

  // Keeper: what proxies have told it, and the descriptor that becomes readable when they do.
  struct Notice
  {
    std::uint64_t serial;
    bool lost; // otherwise taken
  };
  int giving_end() const { return giving_end_.number(); }
  std::optional<Notice> next_notice();

private:
  explicit WarmQueue(FileDescriptor taking_end)
      : taking_end_{std::move(taking_end)}
  {}
  std::optional<Ticket> receive();
  void notify(const Notice& notice);

  FileDescriptor giving_end_;
  FileDescriptor taking_end_;
};

} // namespace pepsal
