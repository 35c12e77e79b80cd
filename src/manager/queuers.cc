// Starts and watches the queuers, which are a program of their own. Called by the manager. A queuer that cannot start
// ends the daemon's start with one line; one that is lost later is logged and restarted, and SYNs bypass meanwhile.

#include "manager/queuers.hh"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <csignal>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "util/notify.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

using namespace std::chrono_literals;

// Beside this program in a build tree; if installed, in libexec: PEPSAL_LIBEXEC_FROM_SBIN is the relative path to it,
// wherever both were installed.
std::string queuer_program()
{
  const auto itself = std::filesystem::read_symlink("/proc/self/exe");
  auto program = std::filesystem::path{itself}.replace_filename("pepsal-queuer");
  if (::access(program.c_str(), X_OK) != 0) {
    program = (itself.parent_path() / PEPSAL_LIBEXEC_FROM_SBIN / "pepsal-queuer").lexically_normal();
  }
  return program;
}

// Runs in the queuer's process, which becomes pepsal-queuer.
[[noreturn]] void execute_queuer(const FixedConfig& config, pid_t manager, Owner owner, std::uint16_t queue, int ready,
                                 int dialler)
{
  die_with_parent(manager, SIGKILL);
  unblock_signals();
  check("fcntl F_SETFD", ::fcntl(ready, F_SETFD, 0)); // inherited
  if (dialler != -1) {
    check("fcntl F_SETFD", ::fcntl(dialler, F_SETFD, 0));
  }
  const auto program = queuer_program();
  std::vector<std::string> words{program,
                                 "--instance=" + config.instance,
                                 fmt::format("--queue={}", queue),
                                 fmt::format("--owner={}", owner),
                                 fmt::format("--mark-shift={}", config.marks.shift),
                                 fmt::format("--ready={}", ready)};
  if (dialler != -1) {
    words.push_back(fmt::format("--dialler={}", dialler));
  }
  if (config.daemon || stderr_is_journal()) {
    words.emplace_back("--syslog");
  }
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (auto& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  ::execv(program.c_str(), arguments.data());
  throw SystemError{errno, fmt::format("exec {}", program)};
}

} // namespace

Queuers::Queuers(Children& children, ConnectionTable& table, const Diallers& diallers, const FixedConfig& config)
    : children_{children}
    , table_{table}
    , diallers_{diallers}
    , config_{config}
{}

Queuers::~Queuers()
{
  children_.end_all(Children::Role::queuer);
}

void Queuers::start_all()
{
  for (unsigned queue = config_.first_queue; queue <= config_.last_queue; ++queue) {
    start(static_cast<std::uint16_t>(queue));
  }
}

// Returns when the queuer has its queue, which it reports through a pipe: one word, or what is wrong.
void Queuers::start(std::uint16_t queue)
{
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  const FileDescriptor read_end{ends[0]};
  FileDescriptor write_end{ends[1]};
  const pid_t manager = ::getpid();
  const int dialler = diallers_.queuer_end(queue);
  children_.spawn(Children::Role::queuer, queue, {write_end.number(), dialler}, [&](Owner owner) -> int {
    try {
      execute_queuer(config_, manager, owner, queue, write_end.number(), dialler);
    } catch (const SystemError& error) {
      [[maybe_unused]] const auto written = ::write(write_end.number(), error.what(), std::strlen(error.what()));
    }
    return EXIT_FAILURE;
  });
  write_end.close();
  std::array<char, 512> answer{};
  const auto bytes = ::read(read_end.number(), answer.data(), answer.size());
  const std::string_view text{answer.data(), static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))};
  if (text != "ready") {
    throw std::runtime_error{text.empty() ? fmt::format("queuer of queue {} ended at startup", queue)
                                          : std::string{text}};
  }
}

void Queuers::note_loss(std::uint16_t queue, std::string_view manner)
{
  if (std::ranges::find(lost_, queue) != lost_.end()) {
    return; // ended at startup, which restart_lost() has logged
  }
  log::warning("queuer of queue {} was lost ({})", queue, manner);
  lost_.push_back(queue);
}

void Queuers::watch(Time now)
{
  if (now < next_watch_) {
    return;
  }
  next_watch_ = now + 2s;
  for (const auto queue : watch_.look(now)) {
    children_.signal(Children::Role::queuer, SIGKILL, [&](const auto& child) {
      if (child.index == queue) {
        log::warning("queuer of queue {} does nothing while packets wait: killing it", queue);
      }
      return child.index == queue;
    });
  }
}

void Queuers::restart_lost(Time now)
{
  if (now < next_look()) {
    return;
  }
  retry_at_ = now + 1s;
  std::erase_if(lost_, [this](std::uint16_t queue) {
    if (has_child(queue)) {
      return true; // one that failed and has not been reaped yet is noted again when it is
    }
    try {
      start(queue);
      table_.count(Counter::queuers_restarted);
      log::warning("queuer of queue {} restarted", queue);
      return true;
    } catch (const std::runtime_error& error) {
      if (failure_.allows()) {
        log::error("{}: connections bypass the proxy; trying again", error.what());
      }
      return false;
    }
  });
}

bool Queuers::has_child(std::uint16_t queue) const
{
  bool found = false;
  children_.for_each([&](const Children::Child& child, pid_t) {
    found = found || (child.role == Children::Role::queuer && child.index == queue);
  });
  return found;
}

} // namespace pepsal
