#pragma once

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine/confinement.hh"

namespace pepsal::test {

constexpr int killed = -SIGSYS; // as the outcome of an attempt; others are its errno, 0 if it was permitted

struct Attempt
{
  std::string name;
  std::function<long()> call; // as a system call returns
  int outcome;
};

// The outcome of `body` in a process of its own.
inline int in_child(const std::function<long()>& body)
{
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      ::_exit(body() == -1 ? errno : 0);
    } catch (const std::exception& error) {
      ::_exit(255);
    }
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

inline int outcome(Confinement& confinement, Role role, const std::function<long()>& call)
{
  return in_child([&] {
    confinement.enter(Role::manager);
    confinement.enter(role);
    return call();
  });
}

inline long open_socket(int family, int type, int protocol = 0)
{
  return ::socket(family, type, protocol);
}

// Of the tests' own process, which must outlive them all.
inline std::vector<Attempt> attempts(pid_t bystander)
{
  static std::array<char, 64> memory{};
  const auto by_number = [](long number, long first = 0, long second = 0, long third = 0) {
    return [=] { return ::syscall(number, first, second, third); };
  };
  return {
      {"write a file", [] { return ::open("/tmp/pepsal-escape", O_WRONLY | O_CREAT, 0600); }, EPERM},
      {"read a file", [] { return ::open("/etc/passwd", O_RDONLY); }, EPERM},
      {"make a folder", [] { return ::mkdir("/tmp/pepsal-escape", 0700); }, EPERM},
      {"remove a file", [] { return ::unlink("/etc/pepsal-none"); }, EPERM},
      {"change the mode of the root", [] { return ::chmod("/", 0777); }, EPERM},
      {"leave the root", [] { return ::chroot(".."); }, EPERM},
      {"go up", [] { return ::chdir(".."); }, EPERM},
      {"execute", [] { return ::execl("/bin/true", "true", nullptr); }, killed},
      {"execute by descriptor", by_number(SYS_execveat, 0), killed},
      {"fork", [] { return ::fork(); }, EPERM},
      {"fork by clone3", by_number(SYS_clone3), ENOSYS},
      {"memory to execute",
       [] {
         return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
       },
       EPERM},
      {"a file in memory", by_number(SYS_memfd_create, reinterpret_cast<long>("x")), EPERM},
      {"trace", [=] { return ::ptrace(PTRACE_ATTACH, bystander, nullptr, nullptr); }, killed},
      {"read another's memory", by_number(SYS_process_vm_readv, bystander), killed},
      {"write another's memory", by_number(SYS_process_vm_writev, bystander), killed},
      {"kill", [=] { return ::kill(bystander, SIGTERM); }, killed},
      {"kill all", [] { return ::kill(-1, 0); }, killed},
      {"kill a thread", by_number(SYS_tkill, bystander, SIGTERM), killed},
      {"kill another's thread", by_number(SYS_tgkill, bystander, bystander, SIGTERM), EPERM},
      {"kill by queue", by_number(SYS_rt_sigqueueinfo, bystander, SIGTERM), EPERM},
      {"a handle of a process", by_number(SYS_pidfd_open, bystander), EPERM},
      {"another's descriptor", by_number(SYS_pidfd_getfd, 0, 0), killed},
      {"another's limits", [=] { return ::prlimit(bystander, RLIMIT_NOFILE, nullptr, nullptr); }, EPERM},
      {"another's priority", [=] { return ::setpriority(PRIO_PROCESS, static_cast<id_t>(bystander), 0); }, EPERM},
      {"a UNIX socket", [] { return open_socket(AF_UNIX, SOCK_STREAM); }, EPERM},
      {"a packet socket", [] { return open_socket(AF_PACKET, SOCK_RAW); }, EPERM},
      {"a VSOCK", [] { return open_socket(AF_VSOCK, SOCK_STREAM); }, EPERM},
      {"a raw socket", [] { return open_socket(AF_INET, SOCK_RAW, IPPROTO_TCP); }, EPERM},
      {"a UDP socket", [] { return open_socket(AF_INET6, SOCK_DGRAM); }, EPERM},
      {"a netlink socket", [] { return open_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }, EPERM},
      {"the firewall's netlink", [] { return open_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER); }, EPERM},
      {"a descriptor that waits, for all who have it", [] { return ::fcntl(0, F_SETFL, 0); }, EPERM},
      {"another descriptor of the same", [] { return ::dup(0); }, EPERM},
      {"another descriptor by fcntl", [] { return ::fcntl(0, F_DUPFD, 0); }, EPERM},
      {"the end of a listener, for all who have it", [] { return ::shutdown(0, SHUT_RD); }, EPERM},
      {"listen", [] { return ::listen(0, 1); }, EPERM},
      {"replace the firewall", [] { return ::setsockopt(0, IPPROTO_IP, 64, memory.data(), memory.size()); }, EPERM},
      {"read the firewall",
       [] {
         socklen_t length = memory.size();
         return ::getsockopt(0, IPPROTO_IP, 64, memory.data(), &length);
       },
       EPERM},
      {"another protocol upon TCP", [] { return ::setsockopt(0, IPPROTO_TCP, TCP_ULP, "tls", 3); }, EPERM},
      {"a signature of segments", [] { return ::setsockopt(0, IPPROTO_TCP, TCP_MD5SIG, memory.data(), 64); }, EPERM},
      {"a socket's filter", [] { return ::setsockopt(0, SOL_SOCKET, SO_ATTACH_FILTER, memory.data(), 16); }, EPERM},
      {"become another user", [] { return ::syscall(SYS_setuid, 12345); }, EPERM},
      {"mount", [] { return ::mount("none", "/", "tmpfs", 0, nullptr); }, killed},
      {"unmount", [] { return ::umount("/pepsal-none"); }, killed},
      {"a namespace of its own", [] { return ::unshare(CLONE_NEWUSER); }, killed},
      {"another namespace", [] { return ::setns(-1, 0); }, killed},
      {"bpf", by_number(SYS_bpf), killed},
      {"keys", by_number(SYS_keyctl), killed},
      {"a module", by_number(SYS_init_module), killed},
      {"io_uring", by_number(SYS_io_uring_setup), killed},
      {"userfaultfd", by_number(SYS_userfaultfd), killed},
      {"perf", by_number(SYS_perf_event_open), killed},
      {"another kernel", by_number(SYS_kexec_load, 0, 99), killed},
      {"the clock", by_number(SYS_clock_settime, -1), killed},
      {"the host's name", by_number(SYS_sethostname, 0, -1), killed},
      {"another personality", by_number(SYS_personality, 0xffffffff), killed},
      {"its own core files", [] { return ::prctl(PR_SET_DUMPABLE, 1); }, EPERM},
      {"signals of the manager's",
       [] {
         sigset_t set;
         sigemptyset(&set);
         return ::signalfd(-1, &set, 0);
       },
       EPERM},
  };
}

} // namespace pepsal::test
