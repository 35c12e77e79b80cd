// Becoming a daemon the way init scripts want it: the command returns when the service is ready, with
// an exit status that tells. Called by main for -d.

#include "util/daemon.hh"

#include <array>
#include <cstdlib>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/file_descriptor.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

int run_in_background(const std::function<int(const std::function<void()>& ready)>& service)
{
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  FileDescriptor read_end{ends[0]};
  FileDescriptor write_end{ends[1]};
  const pid_t child = check("fork", ::fork());
  if (child == 0) {
    read_end.close();
    check("setsid", ::setsid());
    check("chdir /", ::chdir("/"));
    ::_exit(service([&write_end] {
      const FileDescriptor null{check("open /dev/null", ::open("/dev/null", O_RDWR | O_CLOEXEC))};
      for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        check("dup2", ::dup2(null.number(), standard));
      }
      const char ready = 1;
      check("tell that the service is ready", ::write(write_end.number(), &ready, sizeof ready));
      write_end.close();
    }));
  }
  write_end.close();
  char ready = 0;
  return ::read(read_end.number(), &ready, sizeof ready) == sizeof ready ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace pepsal
