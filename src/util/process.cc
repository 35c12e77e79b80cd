// Processes, their titles and their signals. fork_process() throws if no process can be started; the rest fails only on
// misuse.

#include "util/process.hh"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>

#include <bsd/unistd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

// setproctitle(3bsd) leaves a stray full stop behind a title shorter than argv[0], so it is padded with spaces.
std::size_t& least_title_width()
{
  static std::size_t width = 0;
  return width;
}

} // namespace

pid_t fork_process(const std::function<int()>& body)
{
  const pid_t pid = check("fork", ::fork());
  if (pid != 0) {
    return pid;
  }
  int status = EXIT_FAILURE;
  try {
    status = body();
  } catch (const std::exception& error) {
    log::error("{}", error.what());
  }
  ::_exit(status);
}

void close_all_but(std::span<const int> kept)
{
  unsigned first = STDERR_FILENO + 1;
  for (const int descriptor : kept) {
    if (descriptor < static_cast<int>(first)) {
      continue;
    }
    const auto number = static_cast<unsigned>(descriptor);
    if (number > first) {
      check("close_range", ::close_range(first, number - 1, 0));
    }
    first = number + 1;
  }
  check("close_range", ::close_range(first, std::numeric_limits<unsigned>::max(), 0));
}

void die_with_parent(pid_t parent, int signal)
{
  check("prctl PR_SET_PDEATHSIG", ::prctl(PR_SET_PDEATHSIG, signal));
  if (::getppid() != parent) {
    ::_exit(EXIT_SUCCESS);
  }
}

void run_in_turn()
{
  if (::sched_getscheduler(0) == SCHED_OTHER) {
    const sched_param no_priority{};
    ::sched_setscheduler(0, SCHED_BATCH, &no_priority);
  }
}

void prepare_titles(int argc, char** argv, char** environment)
{
  least_title_width() = std::strlen(argv[0]) + 1;
  ::setproctitle_init(argc, argv, environment);
}

void set_title(std::string_view title)
{
  ::setproctitle("-%-*.*s", static_cast<int>(least_title_width()), static_cast<int>(title.size()), title.data());
}

SignalDescriptor::SignalDescriptor(std::initializer_list<int> signals)
{
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  check("sigprocmask", ::sigprocmask(SIG_BLOCK, &set, nullptr));
  FileDescriptor::operator=(FileDescriptor{check("signalfd", ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK))});
}

int SignalDescriptor::take()
{
  signalfd_siginfo info{};
  return ::read(number(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

void unblock_signals()
{
  sigset_t none;
  sigemptyset(&none);
  check("sigprocmask", ::sigprocmask(SIG_SETMASK, &none, nullptr));
}

std::string own_path()
{
  constexpr std::string_view removed = " (deleted)"; // proc(5); also if another file has taken its place
  std::string path = std::filesystem::read_symlink("/proc/self/exe");
  return path.ends_with(removed) ? path.substr(0, path.size() - removed.size()) : path;
}

void handle_signal(int signal, void (*handler)(int), bool restart)
{
  struct sigaction action
  {};
  action.sa_handler = handler;
  action.sa_flags = restart ? SA_RESTART : 0;
  check("sigaction", ::sigaction(signal, &action, nullptr));
}

} // namespace pepsal
