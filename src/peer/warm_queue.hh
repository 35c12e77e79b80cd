#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "util/file_descriptor.hh"
#include "util/socket.hh"

namespace pepsal {

// One peer's warm connections on their way from its keeper, which made them, to the proxies, which use them: a pair of
// UNIX sockets in which descriptors wait (SCM_RIGHTS, unix(7)). Whoever takes one needs nobody's answer, and the taking
// is the kernel's and so happens once. The manager makes the queue before it forks; keeper and proxies inherit it.
class WarmQueue
{
public:
  struct Ticket
  {
    TCPSocket socket;
    std::uint64_t serial;
  };

  WarmQueue();

  // For a child that only takes, and has no descriptor of the other end: whoever gives might give a connection of its
  // own making.
  WarmQueue take_taking_end() { return WarmQueue{std::move(taking_end_)}; }
  int taking_end() const { return taking_end_.number(); }

  // Keeper: puts a connection at the end; its own descriptor stays open, so that it sees the peer go. False when the
  // queue is full.
  bool give(const TCPSocket& socket, std::uint64_t serial);

  // The next connection, if there is one: never waits. The keeper is told.
  std::optional<Ticket> take();

  // A connection that was taken has met a peer that does not know it any more: the keeper gives up all that are ready.
  void report_lost(std::uint64_t serial);

  // Keeper: all that nobody has taken yet, without telling anyone.
  std::vector<Ticket> take_back();

  // Keeper: what proxies have told, and the descriptor that is readable when they have.
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
