// The system calls of each role, by libseccomp. Built once by whoever starts processes; installing takes one call.
//
// A call that a role does not need gets one of two answers. Calls that only an attack would make end the process at
// once, which the manager sees and counts. All others fail with EPERM, and the kernel's audit log names them: another
// version of the C library may try one, and can do without it. The manager's filter is the one that ends processes,
// because all others inherit it: that costs nothing per fork.

#include "confine/filter.hh"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/file_descriptor.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

// What no part of PEPsal, nor a new version of it executed in its place, ever needs.
constexpr std::initializer_list<int> attacks{SCMP_SYS(ptrace),
                                             SCMP_SYS(process_vm_readv),
                                             SCMP_SYS(process_vm_writev),
                                             SCMP_SYS(pidfd_getfd),
                                             SCMP_SYS(mount),
                                             SCMP_SYS(umount2),
                                             SCMP_SYS(move_mount),
                                             SCMP_SYS(open_tree),
                                             SCMP_SYS(fsopen),
                                             SCMP_SYS(fsmount),
                                             SCMP_SYS(pivot_root),
                                             SCMP_SYS(setns),
                                             SCMP_SYS(unshare),
                                             SCMP_SYS(bpf),
                                             SCMP_SYS(keyctl),
                                             SCMP_SYS(add_key),
                                             SCMP_SYS(request_key),
                                             SCMP_SYS(init_module),
                                             SCMP_SYS(finit_module),
                                             SCMP_SYS(delete_module),
                                             SCMP_SYS(io_uring_setup),
                                             SCMP_SYS(userfaultfd),
                                             SCMP_SYS(perf_event_open),
                                             SCMP_SYS(kexec_load),
                                             SCMP_SYS(kexec_file_load),
                                             SCMP_SYS(reboot),
                                             SCMP_SYS(swapon),
                                             SCMP_SYS(swapoff),
                                             SCMP_SYS(open_by_handle_at),
                                             SCMP_SYS(personality),
                                             SCMP_SYS(acct),
                                             SCMP_SYS(quotactl),
                                             SCMP_SYS(settimeofday),
                                             SCMP_SYS(clock_settime),
                                             SCMP_SYS(sethostname)};

// What also ends a process that the manager has forked.
constexpr std::initializer_list<int> attacks_of_children{SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(kill),
                                                         SCMP_SYS(tkill)};

// Memory, time, signals to itself, exiting; and what is open already.
constexpr std::initializer_list<int> everybodys{SCMP_SYS(read),
                                                SCMP_SYS(write),
                                                SCMP_SYS(writev),
                                                SCMP_SYS(close),
                                                SCMP_SYS(poll),
                                                SCMP_SYS(ppoll),
                                                SCMP_SYS(recvfrom),
                                                SCMP_SYS(sendto),
                                                SCMP_SYS(recvmsg),
                                                SCMP_SYS(sendmsg),
                                                SCMP_SYS(brk),
                                                SCMP_SYS(munmap),
                                                SCMP_SYS(mremap),
                                                SCMP_SYS(madvise),
                                                SCMP_SYS(futex),
                                                SCMP_SYS(rt_sigaction),
                                                SCMP_SYS(rt_sigprocmask),
                                                SCMP_SYS(rt_sigreturn),
                                                SCMP_SYS(restart_syscall),
                                                SCMP_SYS(clock_gettime),
                                                SCMP_SYS(clock_nanosleep),
                                                SCMP_SYS(nanosleep),
                                                SCMP_SYS(gettimeofday),
                                                SCMP_SYS(time),
                                                SCMP_SYS(getpid),
                                                SCMP_SYS(gettid),
                                                SCMP_SYS(getppid),
                                                SCMP_SYS(getrandom),
                                                SCMP_SYS(exit),
                                                SCMP_SYS(exit_group)};

// Copying a connection: splice(2) through pipes, and the second thread.
constexpr std::initializer_list<int> copying{SCMP_SYS(splice),    SCMP_SYS(pipe2),       SCMP_SYS(eventfd2),
                                             SCMP_SYS(setitimer), SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list),
                                             SCMP_SYS(rseq),      SCMP_SYS(capget),      SCMP_SYS(capset)};

constexpr std::initializer_list<int> dialling{SCMP_SYS(connect), SCMP_SYS(getsockname)};

struct Option
{
  int level;
  int name;
};

// Options set on the sockets of connections.
constexpr std::initializer_list<Option> options_to_set{{IPPROTO_TCP, TCP_NODELAY},
                                                       {IPPROTO_TCP, TCP_MAXSEG},
                                                       {IPPROTO_TCP, TCP_KEEPIDLE},
                                                       {IPPROTO_TCP, TCP_KEEPINTVL},
                                                       {IPPROTO_TCP, TCP_CONGESTION},
                                                       {IPPROTO_TCP, TCP_USER_TIMEOUT},
                                                       {IPPROTO_TCP, TCP_REPAIR},
                                                       {IPPROTO_TCP, TCP_REPAIR_WINDOW},
                                                       {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
                                                       {IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE},
                                                       {SOL_SOCKET, SO_LINGER},
                                                       {SOL_SOCKET, SO_KEEPALIVE},
                                                       {SOL_SOCKET, SO_OOBINLINE},
                                                       {SOL_SOCKET, SO_REUSEADDR},
                                                       {SOL_SOCKET, SO_MARK},
                                                       {SOL_SOCKET, SO_RCVBUFFORCE},
                                                       {SOL_SOCKET, SO_SNDBUFFORCE},
                                                       {SOL_SOCKET, SO_MAX_PACING_RATE},
                                                       {IPPROTO_IP, IP_TOS},
                                                       {IPPROTO_IP, IP_TTL},
                                                       {IPPROTO_IP, IP_TRANSPARENT},
                                                       {IPPROTO_IPV6, IPV6_TCLASS},
                                                       {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
                                                       {IPPROTO_IPV6, IPV6_TRANSPARENT}};

constexpr int original_destination = 80; // SO_ORIGINAL_DST, see TCPSocket::redirected_from()

// A filter under construction.
class Rules
{
public:
  explicit Rules(std::uint32_t otherwise)
      : context_{::seccomp_init(otherwise), &::seccomp_release}
  {
    constexpr std::uint32_t binary_tree = 2; // the kernel otherwise tries every number while installing a filter
    require(context_ ? 0 : -ENOMEM);
    require(::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, binary_tree));
  }

  void allow(std::initializer_list<int> calls)
  {
    for (const int call : calls) {
      add(SCMP_ACT_ALLOW, call, {});
    }
  }

  void end_process_at(std::initializer_list<int> calls)
  {
    for (const int call : calls) {
      add(SCMP_ACT_KILL_PROCESS, call, {});
    }
  }

  // A call whose arguments all match.
  void allow(int call, std::initializer_list<scmp_arg_cmp> arguments) { add(SCMP_ACT_ALLOW, call, arguments); }

  void refuse(int call, int error) { add(SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), call, {}); }

  // The program for the kernel, which libseccomp only writes to files.
  Filter take() const
  {
    const FileDescriptor file{check("memfd_create", ::memfd_create("filter", MFD_CLOEXEC))};
    require(::seccomp_export_bpf(context_.get(), file.number()));
    const auto bytes = check("lseek", ::lseek(file.number(), 0, SEEK_END));
    Filter filter(static_cast<std::size_t>(bytes) / sizeof(sock_filter));
    check("pread", ::pread(file.number(), filter.data(), static_cast<std::size_t>(bytes), 0));
    return filter;
  }

private:
  static void require(int result)
  {
    if (result < 0) {
      throw SystemError{-result, "libseccomp"};
    }
  }

  // A call that this architecture does not have needs no rule.
  void add(std::uint32_t action, int call, std::initializer_list<scmp_arg_cmp> arguments)
  {
    if (call >= 0) {
      require(::seccomp_rule_add_array(context_.get(), action, call, static_cast<unsigned>(arguments.size()),
                                       arguments.begin()));
    }
  }

  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
};

scmp_arg_cmp equal(unsigned argument, std::int64_t value)
{
  // The kernel only looks at the lower half of an int; the upper half may contain anything.
  constexpr std::uint64_t int_bits = 0xffffffff;
  return {.arg = argument,
          .op = SCMP_CMP_MASKED_EQ,
          .datum_a = int_bits,
          .datum_b = static_cast<std::uint64_t>(value) & int_bits};
}

scmp_arg_cmp bits(unsigned argument, std::uint64_t mask, std::uint64_t value)
{
  return {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

// Memory, but never executable.
void allow_memory(Rules& rules)
{
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    rules.allow(call, {bits(2, PROT_EXEC, 0)});
  }
}

void allow_threads(Rules& rules)
{
  rules.allow(SCMP_SYS(clone), {bits(0, CLONE_THREAD, CLONE_THREAD)});
  rules.refuse(SCMP_SYS(clone3), ENOSYS); // its flags cannot be inspected here; the C library falls back to clone(2)
}

void allow_options(Rules& rules)
{
  for (const auto& option : options_to_set) {
    rules.allow(SCMP_SYS(setsockopt), {equal(1, option.level), equal(2, option.name)});
  }
  // Without restriction, getsockopt(2) could also read the firewall's rules.
  rules.allow(SCMP_SYS(getsockopt), {equal(1, IPPROTO_TCP)});
  rules.allow(SCMP_SYS(getsockopt), {equal(1, SOL_SOCKET)});
  for (const int level : {IPPROTO_IP, IPPROTO_IPV6}) {
    rules.allow(SCMP_SYS(getsockopt), {equal(1, level), equal(2, original_destination)});
  }
  // Not F_SETFL: blocking mode is a property that processes share, including the manager.
  for (const int command : {F_GETPIPE_SZ, F_SETPIPE_SZ, F_SETLK}) { // the last see on_manager_death()
    rules.allow(SCMP_SYS(fcntl), {equal(1, command)});
  }
}

// TCP connections, and nothing else.
void allow_dials(Rules& rules)
{
  constexpr std::uint64_t type_mask = 0xf; // the other bits are SOCK_CLOEXEC and SOCK_NONBLOCK
  for (const int family : {AF_INET, AF_INET6}) {
    rules.allow(SCMP_SYS(socket), {equal(0, family), bits(1, type_mask, SOCK_STREAM), equal(2, 0)});
  }
  rules.allow(dialling);
  for (const int request : {SIOCGIFNAME, SIOCOUTQ}) {
    rules.allow(SCMP_SYS(ioctl), {equal(1, request)});
  }
}

Filter managers_filter()
{
  Rules rules{SCMP_ACT_ALLOW};
  rules.end_process_at(attacks);
  return rules.take();
}

// In addition to the proxy's: no further connection, whether dialled, accepted or handed over.
Filter sessions_filter()
{
  Rules rules{SCMP_ACT_ALLOW};
  for (const int call : {SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(accept4),
                         SCMP_SYS(recvmsg)}) {
    rules.refuse(call, EPERM);
  }
  return rules.take();
}

Filter childs_filter(Role role)
{
  Rules rules{SCMP_ACT_ERRNO(EPERM)};
  rules.end_process_at(attacks_of_children);
  rules.allow(everybodys);
  allow_memory(rules);
  switch (role) {
  case Role::manager:
    break;
  case Role::queuer:
    rules.allow({SCMP_SYS(recvmmsg)});
    break;
  case Role::keeper:
    allow_options(rules);
    allow_dials(rules);
    break;
  case Role::dialler:
    allow_options(rules);
    for (const int option : {TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ}) { // a SYN's sequence number
      rules.allow(SCMP_SYS(setsockopt), {equal(1, IPPROTO_TCP), equal(2, option)});
    }
    allow_dials(rules);
    rules.allow({SCMP_SYS(bind), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait)});
    break;
  case Role::proxy:
    allow_dials(rules);
    rules.allow(SCMP_SYS(setsockopt), {equal(1, SOL_SOCKET), equal(2, SO_BINDTODEVICE), equal(4, 0)}); // unbinding only
    rules.allow(SCMP_SYS(socketpair), {equal(0, AF_UNIX)}); // through which the dialler hands over a leg
    rules.allow(SCMP_SYS(shutdown), {equal(1, SHUT_WR)});   // not for reading, which ends a listener for all
    rules.allow({SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(getpeername)});
    rules.allow(SCMP_SYS(seccomp), {equal(0, SECCOMP_SET_MODE_FILTER)}); // a session's filter, in addition
    rules.allow(copying);
    allow_options(rules);
    allow_threads(rules);
    break;
  case Role::session:
  case Role::paced_session:
    break;
  }
  return rules.take();
}

} // namespace

Filter filter_of(Role role)
{
  const bool copies = role == Role::session || role == Role::paced_session;
  auto filter = role == Role::manager ? managers_filter() : copies ? sessions_filter() : childs_filter(role);
  ::malloc_trim(0); // libseccomp leaves holes in the heap, of which every proxy would have a copy
  return filter;
}

void install(const Filter& filter)
{
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): seccomp(2) only reads.
  auto* const instructions = const_cast<sock_filter*>(filter.data());
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = instructions};
  // Without SPEC_ALLOW, older kernels disable the processor's speculation, a protection meant for programs that run
  // untrusted code in their own address space. LOG names what is refused in the audit log.
  check("seccomp", ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                             SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_LOG, &program));
}

} // namespace pepsal
