#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace pepsal {

// What the system allows this daemon.
struct Limits
{
  std::uint32_t connections; // at once, by the scarcest resource, at most what was asked for
  std::uint64_t descriptors; // soft limit of one process; each proxy has its own
  std::string scarcest;      // which resource that is, for the log; empty when all suffice
};

// Reads RLIMIT_NOFILE, RLIMIT_NPROC, kernel.pid_max, kernel.threads-max and the cgroup's pids.max
// (getrlimit(2), proc(5), the kernel's cgroup-v2 documentation) and says how many of `wanted`
// connections, a process with two threads each, they allow; at least 1. RLIMIT_NPROC counts for a user who is not root,
// or who will not be (--user).
Limits find_limits(std::uint32_t wanted, bool as_another_user = false);

// Throws std::runtime_error with the remedy when RLIMIT_NOFILE is too low for a manager with so many listeners, and for
// proxies. They need few: no process has more than one connection.
void require_descriptors(std::size_t listeners);

} // namespace pepsal
