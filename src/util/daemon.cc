// Becomes a daemon the way init scripts expect: the command returns when the service is ready, with an exit status that
// tells whether it is. Called by main for -d.

#include "util/daemon.hh"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include <bsd/unistd.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/file_descriptor.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

void leave_terminal()
{
  check("setsid", ::setsid());
  check("chdir /", ::chdir("/"));
  const FileDescriptor null{check("open /dev/null", ::open("/dev/null", O_RDWR | O_CLOEXEC))};
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    check("dup2", ::dup2(null.number(), standard));
  }
}

constexpr std::string_view ready_word = "ready";

// One word for the parent, or what went wrong; a pipe takes either without blocking.
void tell(FileDescriptor& parent, std::string_view text)
{
  [[maybe_unused]] const auto written = ::write(parent.number(), text.data(), text.size());
  parent.close();
}

} // namespace

int run_in_background(const std::function<int(const std::function<void()>& ready)>& service)
{
  ::closefrom(STDERR_FILENO + 1); // the caller's: a process waiting for their end would wait for the daemon's
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  FileDescriptor read_end{ends[0]};
  FileDescriptor write_end{ends[1]};
  const pid_t child = check("fork", ::fork());
  if (child == 0) {
    read_end.close();
    try {
      leave_terminal();
      ::_exit(service([&write_end] { tell(write_end, ready_word); }));
    } catch (const std::exception& error) {
      tell(write_end, error.what());
      ::_exit(EXIT_FAILURE);
    }
  }
  write_end.close();
  std::array<char, 4096> answer{};
  const auto bytes = ::read(read_end.number(), answer.data(), answer.size());
  const std::string_view text{answer.data(), static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))};
  if (text == ready_word) {
    return EXIT_SUCCESS;
  }
  ::waitpid(child, nullptr, 0); // when the failure is reported, nothing is left of the service
  throw std::runtime_error{text.empty() ? "ended at startup without a message" : std::string{text}};
}

} // namespace pepsal
