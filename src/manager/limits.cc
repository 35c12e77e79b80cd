// How many proxies the system has room for. Called once by the manager before it creates the table. What cannot be read
// sets no limit. Only too few descriptors for a single connection prevent the start.

#include "manager/limits.hh"

#include <algorithm>
#include <fstream>
#include <optional>
#include <stdexcept>

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

namespace pepsal {

namespace {

constexpr std::uint64_t tasks_per_connection = 2;
constexpr std::uint64_t tasks_for_others = 256; // left to the rest of the system and to this daemon's other tasks
constexpr std::uint64_t tasks_of_our_own = 8;   // what a user's limit must leave: manager, queuers, keepers

std::optional<std::uint64_t> number_in(const std::string& file)
{
  std::ifstream stream{file};
  std::uint64_t value = 0;
  return stream >> value ? std::optional{value} : std::nullopt;
}

// The number of tasks that this process's cgroup may have (unified hierarchy).
std::optional<std::uint64_t> cgroup_tasks()
{
  std::ifstream stream{"/proc/self/cgroup"};
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("0::")) {
      return number_in("/sys/fs/cgroup" + line.substr(3) + "/pids.max");
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> limit_of(__rlimit_resource resource)
{
  rlimit limit{};
  if (::getrlimit(resource, &limit) == -1 || limit.rlim_cur == RLIM_INFINITY) {
    return std::nullopt;
  }
  return limit.rlim_cur;
}

} // namespace

Limits find_limits(std::uint32_t wanted, bool as_another_user)
{
  Limits result{.connections = wanted, .descriptors = limit_of(RLIMIT_NOFILE).value_or(1U << 20), .scarcest = {}};
  const auto consider = [&](const char* name, std::optional<std::uint64_t> tasks,
                            std::uint64_t others = tasks_for_others) {
    if (!tasks) {
      return;
    }
    const auto room = *tasks > others ? (*tasks - others) / tasks_per_connection : 1;
    if (room < result.connections) {
      result.connections = static_cast<std::uint32_t>(std::max<std::uint64_t>(room, 1));
      result.scarcest = fmt::format("{} {}", name, *tasks);
    }
  };
  consider("kernel.pid_max", number_in("/proc/sys/kernel/pid_max"));
  consider("kernel.threads-max", number_in("/proc/sys/kernel/threads-max"));
  consider("the cgroup's pids.max", cgroup_tasks());
  if (as_another_user || ::geteuid() != 0) { // root is not bound by it (setrlimit(2))
    consider("RLIMIT_NPROC", limit_of(RLIMIT_NPROC), tasks_of_our_own);
  }
  return result;
}

void require_descriptors(std::size_t listeners)
{
  constexpr std::uint64_t for_all_else = 16; // standard streams, log, table, pid file, signals, sockets, a pipe
  const auto needed = for_all_else + listeners;
  if (const auto limit = limit_of(RLIMIT_NOFILE); limit && *limit < needed) {
    throw std::runtime_error{
        fmt::format("the limit of {} descriptors is too low: {} are needed (ulimit -n, LimitNOFILE)", *limit, needed)};
  }
}

} // namespace pepsal
