// What a restart in place needs: a check that the new program would start, and children and listeners as the old one
// describes them. Called by the manager. Anything wrong throws before anything has changed.

#include "manager/restart.hh"

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>

#include <csignal>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

struct RoleName
{
  Children::Role role;
  const char* name;
};

constexpr std::array roles{RoleName{Children::Role::queuer, "queuer"}, RoleName{Children::Role::proxy, "proxy"},
                           RoleName{Children::Role::keeper, "keeper"}, RoleName{Children::Role::dialler, "dialler"}};

const char* name_of(Children::Role role)
{
  for (const auto& row : roles) {
    if (row.role == role) {
      return row.name;
    }
  }
  return "";
}

Children::Role role_of(const std::string& name)
{
  for (const auto& row : roles) {
    if (row.name == name) {
      return row.role;
    }
  }
  throw std::runtime_error{fmt::format("a process of the role '{}' cannot be taken over", name)};
}

// Everything it prints to stdout and stderr, for at most `patience`; then it is killed.
std::string read_all(const FileDescriptor& output, pid_t child, std::chrono::seconds patience)
{
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::string text;
  std::array<char, 1024> chunk{};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd readable{.fd = output.number(), .events = POLLIN, .revents = 0};
    if (left <= 0 || ::poll(&readable, 1, static_cast<int>(left)) == 0) {
      ::kill(child, SIGKILL);
      return text;
    }
    const auto bytes = ::read(output.number(), chunk.data(), chunk.size());
    if (bytes <= 0) {
      return text;
    }
    text.append(chunk.data(), static_cast<std::size_t>(bytes));
  }
}

[[noreturn]] void execute_check(const Program& program, int output)
{
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  unblock_signals();
  auto words = program.arguments;
  words.push_back("--check");
  ::execv(program.path.c_str(), exec_arguments(words).data());
  const auto problem = SystemError{errno, fmt::format("exec {}", program.path)};
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, problem.what(), std::string_view{problem.what()}.size());
  ::_exit(127);
}

std::string line_with(const std::string& text, std::string_view words)
{
  const auto found = text.find(words);
  if (found == std::string::npos) {
    return {};
  }
  const auto begin = text.rfind('\n', found) + 1; // npos + 1 is the first line's
  return text.substr(begin, text.find('\n', found) - begin);
}

} // namespace

std::vector<char*> exec_arguments(const std::vector<const char*>& words)
{
  std::vector<char*> result(words.size() + 1);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): C has no better type for it.
  std::ranges::transform(words, result.begin(), [](const char* word) { return const_cast<char*>(word); });
  return result;
}

void require_sound(const Program& program)
{
  using namespace std::chrono_literals;
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  const FileDescriptor read_end{ends[0]};
  FileDescriptor write_end{ends[1]};
  const auto child = fork_process([&]() -> int { execute_check(program, write_end.number()); });
  write_end.close();
  const auto text = read_all(read_end, child, 5s);
  int status = 0;
  check("waitpid", ::waitpid(child, &status, 0));
  const auto lack = line_with(text, "which prevents a start");
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 1 || !lack.empty()) {
    throw std::runtime_error{fmt::format("not restarted: {}", !lack.empty()  ? lack
                                                              : text.empty() ? program.path + " --check fails"
                                                                             : text.substr(0, text.find('\n')))};
  }
}

std::vector<Handover::Child> children_for(const Children& children)
{
  std::vector<Handover::Child> result;
  children.for_each([&](const Children::Child& child, pid_t pid) {
    result.push_back({.role = name_of(child.role),
                      .pid = pid,
                      .owner = child.owner,
                      .index = child.index,
                      .started_ns = children.started(child.owner).count(),
                      .busy = children.state(child.owner) == ProcessState::busy,
                      .orphan = children.is_orphan(child.owner)});
  });
  return result;
}

std::vector<Handover::Listener> listeners_for(std::span<const Listener> listeners)
{
  std::vector<Handover::Listener> result;
  for (const auto& listener : listeners) {
    result.push_back(
        {.descriptor = listener.socket.number(), .interface = listener.interface, .for_peers = listener.for_peers});
  }
  return result;
}

void adopt_children(Children& children, const Handover& before, bool same_table)
{
  for (const auto& child : before.children) {
    const Children::Child described{.role = role_of(child.role), .owner = child.owner, .index = child.index};
    if (!child.orphan) {
      children.adopt(child.pid, described, BootTime{child.started_ns}, same_table, child.busy);
    } else if (same_table) { // a new table does not have its lock
      children.adopt_orphan(child.pid, described, BootTime{child.started_ns});
    }
  }
  if (same_table) {
    children.adopt_table();
  }
}

std::vector<Listener> adopt_listeners(const Handover& before, const Config& config)
{
  std::vector<Listener> result;
  for (const auto& listener : before.listeners) {
    TCPSocket socket{listener.descriptor};
    const bool fits = listener.for_peers ? before.peer_port == config.peers.port
                                         : before.port == config.port && before.address == config.address;
    if (fits) {
      result.push_back({.socket = std::move(socket), .interface = listener.interface, .for_peers = listener.for_peers});
    }
  }
  return result;
}

} // namespace pepsal
