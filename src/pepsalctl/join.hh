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

// Both sockets of a connection; one that is missing (not there yet, gone, or not visible to this user) is empty.
struct Legs
{
  std::optional<SocketFacts> client;
  std::optional<SocketFacts> server;
};

// Finds the sockets of table entries among all sockets of the box.
class Join
{
public:
  // Inodes of the sockets that a process has open.
  using Inodes = std::function<std::vector<std::uint32_t>(std::int32_t pid)>;

  // `sockets` must outlive it.
  Join(std::span<const SocketFacts> sockets, Inodes inodes_of);

  // Matches by addresses, because under TPROXY with preserved sources both legs have the connection's. Where that is
  // not enough (REDIRECT, another source, warm connections), by the sockets that the proxy `pid` has open.
  Legs legs_of(const TableEntry& entry, std::int32_t pid) const;

private:
  const SocketFacts* find(const Endpoint& local, const Endpoint& remote) const;

  std::span<const SocketFacts> sockets_;
  Inodes inodes_of_;
  std::unordered_multimap<std::uint32_t, const SocketFacts*> by_ports_; // both ports combined into one number
  std::unordered_map<std::uint32_t, const SocketFacts*> by_inode_;
};

// From /proc/PID/fd; empty for a process that does not exist or may not be inspected.
std::vector<std::uint32_t> socket_inodes_of(std::int32_t pid);

} // namespace pepsal
