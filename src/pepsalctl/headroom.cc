// How much room the system has for further proxies. Called by metrics. What cannot be read sets no limit; nothing here
// can fail.

#include "pepsalctl/headroom.hh"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace pepsal {

namespace {

std::optional<std::uint64_t> number_in_file(const std::string& file)
{
  std::ifstream stream{file};
  std::uint64_t value = 0;
  return stream >> value ? std::optional{value} : std::nullopt;
}

// The fourth column, "RUNNING/ALL" (proc(5)).
std::optional<std::uint64_t> tasks_of_the_system()
{
  std::ifstream stream{"/proc/loadavg"};
  std::string skipped;
  std::uint64_t tasks = 0;
  stream >> skipped >> skipped >> skipped;
  return std::getline(stream, skipped, '/') && stream >> tasks ? std::optional{tasks} : std::nullopt;
}

// The directory of the cgroup of `pid` (unified hierarchy).
std::optional<std::string> cgroup_of(std::int32_t pid)
{
  std::ifstream stream{"/proc/" + std::to_string(pid) + "/cgroup"};
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("0::")) {
      return "/sys/fs/cgroup" + line.substr(3);
    }
  }
  return std::nullopt;
}

} // namespace

std::uint64_t free_processes(const SharedSegment& segment)
{
  const auto states = segment.process_states();
  auto result = static_cast<std::uint64_t>(
      std::count_if(states.begin(), states.end(), [](const auto& state) { return state.load() == 0; }));
  const auto consider = [&result](std::optional<std::uint64_t> limit, std::optional<std::uint64_t> used) {
    if (limit && used) {
      result = std::min(result, *limit - std::min(*limit, *used));
    }
  };
  consider(number_in_file("/proc/sys/kernel/pid_max"), tasks_of_the_system());
  consider(number_in_file("/proc/sys/kernel/threads-max"), tasks_of_the_system());
  if (const auto cgroup = cgroup_of(segment.header().manager_pid)) {
    consider(number_in_file(*cgroup + "/pids.max"), number_in_file(*cgroup + "/pids.current"));
  }
  return result;
}

} // namespace pepsal
