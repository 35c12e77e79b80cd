// Programs that tests start, in the namespaces of a test, with deadlines and captured output. A program that cannot be
// executed ends with status 127; what the kernel refuses is thrown.

#include "support/child_process.hh"

#include "util/system_error.hh"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pepsal::test {

namespace {

FileDescriptor memory_file(const char* name, const std::string& content = {})
{
  FileDescriptor file{check("memfd_create", ::memfd_create(name, MFD_CLOEXEC))};
  check("pwrite", ::pwrite(file.number(), content.data(), content.size(), 0));
  check("fcntl", ::fcntl(file.number(), F_SETFL, O_APPEND));
  return file;
}

std::string content_of(const FileDescriptor& file)
{
  std::string text;
  std::array<char, 65536> buffer{};
  for (;;) {
    const auto length =
        check("pread", ::pread(file.number(), buffer.data(), buffer.size(), static_cast<off_t>(text.size())));
    if (length == 0) {
      return text;
    }
    text.append(buffer.data(), static_cast<std::size_t>(length));
  }
}

std::vector<char*> pointers(std::vector<std::string>& strings)
{
  std::vector<char*> result;
  for (auto& string : strings) {
    result.push_back(string.data());
  }
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> whole_environment(const std::vector<std::string>& additions)
{
  std::vector<std::string> result{additions};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text{*variable};
    const auto name = text.substr(0, text.find('=') + 1);
    bool replaced = false;
    for (const auto& addition : additions) {
      replaced = replaced || addition.starts_with(name);
    }
    if (!replaced) {
      result.push_back(text);
    }
  }
  return result;
}

// Everything the child needs, prepared before the fork: after it, only async-signal-safe calls may be made, since the
// test process may have threads.
struct Prepared
{
  std::vector<char*> arguments;
  std::vector<char*> environment;
  int network;
  int mounts;
  int in;
  int out;
  int err;
};

// Names the package of a missing program.
constexpr auto no_program = "source '" PEPSAL_SOURCE_DIR "/scripts/common.sh'; no_program \"$0\" >&2; exit 127";

[[noreturn]] void execute(const Prepared& prepared)
{
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const bool ready = ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::setsid() >= 0 &&
                     (prepared.network < 0 || ::setns(prepared.network, CLONE_NEWNET) == 0) &&
                     (prepared.mounts < 0 || ::setns(prepared.mounts, CLONE_NEWNS) == 0) &&
                     ::dup2(prepared.in, STDIN_FILENO) >= 0 && ::dup2(prepared.out, STDOUT_FILENO) >= 0 &&
                     ::dup2(prepared.err, STDERR_FILENO) >= 0;
  if (ready) {
    ::execvpe(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
  }
  const int error = errno;
  ::dprintf(prepared.err, "cannot run %s: %s\n", prepared.arguments[0], ::strerrordesc_np(error));
  if (ready && error == ENOENT) {
    ::execlp("bash", "bash", "-c", no_program, prepared.arguments[0], nullptr);
  }
  ::_exit(127);
}

// Forks into the process namespace of the sandbox, if there is one.
pid_t fork_into(const Sandbox* sandbox)
{
  if (sandbox == nullptr) {
    return ::fork();
  }
  const FileDescriptor home{check("open pid namespace", ::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC))};
  check("setns processes", ::setns(sandbox->process_namespace(), CLONE_NEWPID));
  const pid_t pid = ::fork();
  if (pid != 0) {
    check("setns home", ::setns(home.number(), CLONE_NEWPID));
  }
  return pid;
}

} // namespace

std::string Command::to_string() const
{
  return fmt::format("{}", fmt::join(arguments, " "));
}

ChildProcess::ChildProcess(const Command& command)
    : name_{command.to_string()}
    , out_{memory_file("stdout")}
    , err_{memory_file("stderr")}
{
  auto arguments = command.arguments;
  auto environment = whole_environment(command.environment);
  const auto input = memory_file("stdin", command.input);
  const Prepared prepared{.arguments = pointers(arguments),
                          .environment = pointers(environment),
                          .network = command.network == nullptr ? -1 : command.network->number(),
                          .mounts = command.sandbox == nullptr ? -1 : command.sandbox->mount_namespace(),
                          .in = input.number(),
                          .out = out_.number(),
                          .err = err_.number()};
  const pid_t pid = fork_into(command.sandbox);
  if (pid == 0) {
    execute(prepared);
  }
  pid_ = check("fork", pid);
  handle_ = FileDescriptor{static_cast<int>(check("pidfd_open", ::syscall(SYS_pidfd_open, pid_, 0)))};
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : name_{std::move(other.name_)}
    , pid_{std::exchange(other.pid_, -1)}
    , handle_{std::move(other.handle_)}
    , out_{std::move(other.out_)}
    , err_{std::move(other.err_)}
    , status_{other.status_}
{}

ChildProcess::~ChildProcess()
{
  if (pid_ > 0 && !status_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

std::string ChildProcess::out() const
{
  return content_of(out_);
}

std::string ChildProcess::err() const
{
  return content_of(err_);
}

bool ChildProcess::is_running()
{
  return !wait(std::chrono::milliseconds{0});
}

std::optional<int> ChildProcess::wait(std::chrono::milliseconds limit)
{
  if (status_) {
    return status_;
  }
  pollfd ended{.fd = handle_.number(), .events = POLLIN, .revents = 0};
  if (check("poll", ::poll(&ended, 1, static_cast<int>(limit.count()))) == 0) {
    return std::nullopt;
  }
  int status = 0;
  check("waitpid", ::waitpid(pid_, &status, 0));
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return status_;
}

void ChildProcess::signal(int number) const
{
  check("kill " + name_, ::kill(pid_, number));
}

Result ChildProcess::finish(std::chrono::milliseconds limit)
{
  const auto status = wait(limit);
  if (!status) {
    throw std::runtime_error{
        fmt::format("{}: still runs after {} ms; printed:\n{}{}", name_, limit.count(), out(), err())};
  }
  return {.status = *status, .out = out(), .err = err()};
}

} // namespace pepsal::test
