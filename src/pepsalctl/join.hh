#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "pepsal/table.hh"
#include "pepsalctl/sock_diag.hh"

namespace pepsal {

// Both sockets of a connection; one that is not there (yet, any more, or for lack of privilege) is nothing.
struct Legs
{
  std::optional<SocketFacts> client;
  std::optional<SocketFacts> server;
};

// Finds the sockets of entries among all sockets of the box.
class Join
{
public:
  // Inodes of the sockets that a process holds.
  using Inodes = std::function<std::vector<std::uint32_t>(std::int32_t pid)>;

  // `sockets` must outlive it.
  Join(std::span<const SocketFacts> sockets, Inodes inodes_of);

  // By addresses, as under TPROXY with preserved sources both legs have the connection's; what these do not tell
  // (REDIRECT, another source, warm connections) by the sockets that the proxy `pid` holds.
  Legs legs_of(const TableEntry& entry, std::int32_t pid) const;

private:
  const SocketFacts* find(const Endpoint& local, const Endpoint& remote) const;

  std::span<const SocketFacts> sockets_;
  Inodes inodes_of_;
  std::unordered_multimap<std::uint32_t, const SocketFacts*> by_ports_; // both ports in one number
  std::unordered_map<std::uint32_t, const SocketFacts*> by_inode_;
};

// The same from /proc/PID/fd; nothing for a process that is not there or may not be looked into.
std::vector<std::uint32_t> socket_inodes_of(std::int32_t pid);

} // namespace pepsal
