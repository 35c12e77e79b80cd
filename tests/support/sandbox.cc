// Namespaces of a test: networks without names, and the sandbox that holds its processes and mounts.
// Everything here needs root; what the kernel refuses is thrown as SystemError.

#include "support/sandbox.hh"

#include "util/system_error.hh"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pepsal::test {

namespace {

FileDescriptor open_namespace(const std::string& path)
{
  return FileDescriptor{check("open " + path, ::open(path.c_str(), O_RDONLY | O_CLOEXEC))};
}

// What the first process does before it waits; the name of the step that failed, or null.
class FirstProcess
{
public:
  explicit FirstProcess(int network)
      : network_{network}
  {}

  const char* prepare() const
  {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::setns(network_, CLONE_NEWNET) != 0 ||
        ::unshare(CLONE_NEWNS) != 0) {
      return "enter namespaces";
    }
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return "make / private";
    }
    if (!mount_at("proc", "/proc") || !mount_at("sysfs", "/sys") || !mount_at("tmpfs", "/run")) {
      return "mount /proc, /sys and /run";
    }
    for (const char* folder :
         {Sandbox::work_folder, "/run/sshd", "/run/lock", "/run/dev", "/run/dev/pts", "/run/dev/shm"}) {
      if (::mkdir(folder, 0755) != 0) {
        return folder;
      }
    }
    return prepare_devices();
  }

  // Reaps what the kernel hands to the first process of a namespace, until it is killed.
  [[noreturn]] static void wait_for_death()
  {
    for (;;) {
      if (::waitpid(-1, nullptr, 0) < 0) {
        ::usleep(20'000);
      }
    }
  }

private:
  static bool mount_at(const char* type, const char* where) { return ::mount(type, where, type, 0, nullptr) == 0; }

  struct Device
  {
    const char* path;
    unsigned major;
    unsigned minor;
  };
  struct Link
  {
    const char* path;
    const char* target;
  };

  const char* prepare_devices() const
  {
    if (!mount_at("tmpfs", "/run/dev")) {
      return "mount /dev";
    }
    ::umask(0);
    for (const auto& device :
         {Device{"/run/dev/null", 1, 3}, Device{"/run/dev/zero", 1, 5}, Device{"/run/dev/full", 1, 7},
          Device{"/run/dev/random", 1, 8}, Device{"/run/dev/urandom", 1, 9}, Device{"/run/dev/tty", 5, 0}}) {
      if (::mknod(device.path, S_IFCHR | 0666, ::makedev(device.major, device.minor)) != 0) {
        return device.path;
      }
    }
    for (const auto& link :
         {Link{"/run/dev/fd", "/proc/self/fd"}, Link{"/run/dev/stdin", "fd/0"}, Link{"/run/dev/stdout", "fd/1"},
          Link{"/run/dev/stderr", "fd/2"}, Link{"/run/dev/ptmx", "pts/ptmx"}}) {
      if (::symlink(link.target, link.path) != 0) {
        return link.path;
      }
    }
    if (::mkdir("/run/dev/pts", 0755) != 0 || ::mkdir("/run/dev/shm", 01777) != 0 ||
        ::mount("devpts", "/run/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620") != 0 ||
        !mount_at("tmpfs", "/run/dev/shm") || ::mount("/run/dev", "/dev", nullptr, MS_MOVE, nullptr) != 0) {
      return "mount /dev/pts and /dev/shm";
    }
    ::umask(022);
    ::rmdir("/run/dev");
    return nullptr;
  }

  int network_;
};

// The child's side of Sandbox's fork. Writes errno and the failed step to `report`, or nothing but EOF.
[[noreturn]] void become_first_process(int network, int report)
{
  const FirstProcess self{network};
  if (const char* failed = self.prepare()) {
    ::dprintf(report, "%s: %s", failed, ::strerrordesc_np(errno));
    ::_exit(1);
  }
  const int null = ::open("/dev/null", O_RDWR);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::dup2(null, standard);
  }
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  FirstProcess::wait_for_death();
}

} // namespace

NetworkNamespace::NetworkNamespace()
{
  const auto home = open_namespace("/proc/thread-self/ns/net");
  check("unshare network", ::unshare(CLONE_NEWNET));
  fd_ = open_namespace("/proc/thread-self/ns/net");
  check("setns home", ::setns(home.number(), CLONE_NEWNET));
}

Visit::Visit(const NetworkNamespace& where)
    : home_{open_namespace("/proc/thread-self/ns/net")}
{
  check("setns network", ::setns(where.number(), CLONE_NEWNET));
}

Visit::~Visit()
{
  if (::setns(home_.number(), CLONE_NEWNET) != 0) {
    std::abort(); // the thread would continue in the wrong network
  }
}

Sandbox::Sandbox(const NetworkNamespace& network)
{
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  const FileDescriptor reading{ends[0]};
  FileDescriptor writing{ends[1]};

  const auto home = open_namespace("/proc/self/ns/pid");
  check("unshare processes", ::unshare(CLONE_NEWPID));
  const pid_t pid = ::fork();
  if (pid == 0) {
    become_first_process(network.number(), writing.number());
  }
  check("setns home", ::setns(home.number(), CLONE_NEWPID));
  first_process_ = check("fork", pid);
  writing.close();

  std::array<char, 256> failure{};
  const auto length = check("read", ::read(reading.number(), failure.data(), failure.size() - 1));
  if (length > 0) {
    ::waitpid(first_process_, nullptr, 0);
    throw SystemError{0, fmt::format("sandbox: {}", failure.data())};
  }
  process_namespace_ = open_namespace(fmt::format("/proc/{}/ns/pid", first_process_));
  mount_namespace_ = open_namespace(fmt::format("/proc/{}/ns/mnt", first_process_));
}

Sandbox::~Sandbox()
{
  ::kill(first_process_, SIGKILL);
  ::waitpid(first_process_, nullptr, 0);
}

std::string Sandbox::outside(const std::string& path_inside) const
{
  return fmt::format("/proc/{}/root{}", first_process_, path_inside);
}

} // namespace pepsal::test
