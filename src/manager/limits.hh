#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace pepsal {

// What the system allows this daemon.
struct Limits
{
  std::uint32_t connections; // concurrent, by the scarcest resource, at most what was asked for
  std::uint64_t descriptors; // soft limit of one process; each proxy has its own
  std::string scarcest;      // name of that resource, for the log; empty if there is enough of all
};

// Reads RLIMIT_NOFILE, RLIMIT_NPROC, kernel.pid_max, kernel.threads-max and the cgroup's pids.max (getrlimit(2),
// proc(5), the kernel's cgroup-v2 documentation) and returns how many of `wanted` connections, each a process with two
// threads, they allow; at least 1. RLIMIT_NPROC only counts for a user other than root, or if the daemon will switch to
// one (--user).
Limits find_limits(std::uint32_t wanted, bool as_another_user = false);

// Throws std::runtime_error with the remedy if RLIMIT_NOFILE is too low for a manager with this many listeners, and for
// proxies. They need few descriptors: no process has more than one connection.
void require_descriptors(std::size_t listeners);

} // namespace pepsal
