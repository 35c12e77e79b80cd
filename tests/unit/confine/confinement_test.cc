// Simulates a compromised process: it enters a role as the daemon's processes do, and then tries what it should not be
// able to do. Whether a call would have succeeded is seen from the same calls without confinement: most would.

#include "confine/confinement.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempts.hh"
#include "confine/capabilities.hh"
#include "confine/filter.hh"
#include "run_filter.hh"
#include "tcp/route.hh"

namespace pepsal::test {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#endif

class ConfinementTest : public testing::TestWithParam<Role>
{};

// The test's own process is the bystander: it must live to report.
TEST_P(ConfinementTest, ForbiddenCallsFail)
{
  // In a child, because its constructor cannot be undone.
  EXPECT_EQ(in_child([&] {
              const auto role = GetParam();
              Confinement confinement{Role::manager, role};
              for (const auto& attempt : attempts(::getppid())) {
                const int expected = attempt.name == "fork by clone3" && role != Role::proxy ? EPERM : attempt.outcome;
                EXPECT_EQ(outcome(confinement, role, attempt.call), expected) << attempt.name;
              }
              return testing::Test::HasFailure() ? (errno = 1, -1) : 0;
            }),
            0);
}

std::string name_of_role(const testing::TestParamInfo<Role>& info)
{
  return info.param == Role::proxy     ? "Proxy"
         : info.param == Role::keeper  ? "Keeper"
         : info.param == Role::dialler ? "Dialler"
                                       : "Queuer";
}

INSTANTIATE_TEST_SUITE_P(Roles, ConfinementTest,
                         testing::Values(Role::proxy, Role::keeper, Role::queuer, Role::dialler), name_of_role);

// The calls that a role may make, with any or with some arguments. A longer list is a decision about docs/SECURITY.md.
std::set<long> calls_of(Role role)
{
  std::set<long> result{SYS_read,
                        SYS_write,
                        SYS_writev,
                        SYS_close,
                        SYS_poll,
                        SYS_ppoll,
                        SYS_recvfrom,
                        SYS_sendto,
                        SYS_recvmsg,
                        SYS_sendmsg,
                        SYS_brk,
                        SYS_mmap,
                        SYS_mprotect,
                        SYS_munmap,
                        SYS_mremap,
                        SYS_madvise,
                        SYS_futex,
                        SYS_rt_sigaction,
                        SYS_rt_sigprocmask,
                        SYS_rt_sigreturn,
                        SYS_restart_syscall,
                        SYS_clock_gettime,
                        SYS_clock_nanosleep,
                        SYS_nanosleep,
                        SYS_gettimeofday,
#ifdef SYS_time
                        SYS_time,
#endif
                        SYS_getpid,
                        SYS_gettid,
                        SYS_getppid,
                        SYS_getrandom,
                        SYS_exit,
                        SYS_exit_group};
  if (role == Role::queuer) {
    result.insert(SYS_recvmmsg);
    return result;
  }
  result.insert({SYS_socket, SYS_connect, SYS_getsockname, SYS_setsockopt, SYS_getsockopt, SYS_ioctl, SYS_fcntl});
  if (role == Role::dialler) {
    result.insert({SYS_bind, SYS_epoll_ctl, SYS_epoll_pwait});
#ifdef SYS_epoll_wait
    result.insert(SYS_epoll_wait);
#endif
  }
  if (role == Role::proxy) {
    result.insert({SYS_bind, SYS_accept4, SYS_getpeername, SYS_socketpair, SYS_shutdown, SYS_splice, SYS_pipe2,
                   SYS_eventfd2, SYS_setitimer, SYS_sched_yield, SYS_set_robust_list, SYS_rseq, SYS_capget, SYS_capset,
                   SYS_clone, SYS_seccomp});
  }
  return result;
}

TEST_P(ConfinementTest, EveryOtherCallIsRefused)
{
  const auto filter = filter_of(GetParam());
  const auto managers = filter_of(Role::manager);
  const auto allowed = calls_of(GetParam());
  constexpr std::array<std::uint64_t, 4> values{0, 1, 2, ~std::uint64_t{0}};
  constexpr int highest = 2000;
  for (int number = 0; number < highest; ++number) {
    for (const auto value : values) {
      seccomp_data call{.nr = number, .arch = architecture, .instruction_pointer = 0, .args = {}};
      std::ranges::fill(call.args, value);
      EXPECT_TRUE(answer(filter, call) != SECCOMP_RET_ALLOW || allowed.contains(number)) << number << ' ' << value;
      call.arch ^= 1U; // another one, as that of 32-bit programs, has other numbers
      EXPECT_NE(answer(filter, call), SECCOMP_RET_ALLOW) << number;
      EXPECT_NE(answer(managers, call), SECCOMP_RET_ALLOW) << number;
    }
  }
  constexpr int of_x32 = 0x40000000; // its own numbers within this architecture
  for (const long number : allowed) {
    const seccomp_data call{
        .nr = static_cast<int>(number) | of_x32, .arch = architecture, .instruction_pointer = 0, .args = {}};
    EXPECT_NE(answer(filter, call), SECCOMP_RET_ALLOW) << number;
  }
}

class ProxyConfinementTest : public testing::Test
{};

TEST_F(ProxyConfinementTest, DoesItsWork)
{
  EXPECT_EQ(in_child([] {
              Confinement confinement{Role::manager, Role::proxy};
              confinement.enter(Role::manager);
              confinement.enter(Role::proxy);
              int moved = 0;
              std::thread{[&] { ++moved; }}.join();
              std::array<int, 2> ends{};
              const bool works = moved == 1 && ::pipe2(ends.data(), O_CLOEXEC) == 0 &&
                                 ::fcntl(ends[1], F_SETPIPE_SZ, 1 << 16) > 0 &&
                                 open_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK) != -1 &&
                                 open_socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC) != -1 &&
                                 std::vector<char>(1 << 22).size() == 1 << 22;
              return works ? 0 : -1;
            }),
            0);
}

// Once it copies, it has its two connections, and can have no other.
TEST_F(ProxyConfinementTest, HasNoOtherConnectionOnceItCopies)
{
  const auto attempt = [](const std::function<long()>& call) {
    return in_child([&] {
      Confinement confinement{Role::manager, Role::proxy, Role::session};
      std::array<int, 2> ends{};
      confinement.enter(Role::manager);
      confinement.enter(Role::proxy);
      confinement.enter(Role::session);
      return ::pipe2(ends.data(), O_CLOEXEC) == 0 && ::write(ends[1], "x", 1) == 1 ? call() : (errno = ENOSYS, -1);
    });
  };
  EXPECT_EQ(attempt([] { return 0; }), 0);
  EXPECT_EQ(attempt([] { return open_socket(AF_INET, SOCK_STREAM); }), EPERM);
  EXPECT_EQ(attempt([] { return open_socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC); }), EPERM);
  EXPECT_EQ(attempt([] { return ::connect(0, nullptr, 0); }), EPERM);
  EXPECT_EQ(attempt([] { return ::bind(0, nullptr, 0); }), EPERM);
  EXPECT_EQ(attempt([] { return ::accept4(0, nullptr, nullptr, 0); }), EPERM);
  EXPECT_EQ(attempt([] { return ::recvmsg(0, nullptr, 0); }), EPERM);
  EXPECT_EQ(attempt([] { return ::kill(::getppid(), 0); }), killed) << "the proxy's filter stays";
}

TEST_F(ProxyConfinementTest, HasNoCapabilityOnceItCopies)
{
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  const auto transparent = [](Role role) {
    return in_child([role] {
      keep_capabilities_of(Role::proxy);
      const auto socket = static_cast<int>(open_socket(AF_INET, SOCK_STREAM));
      keep_capabilities_of(role);
      constexpr int on = 1;
      return ::setsockopt(socket, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on);
    });
  };
  EXPECT_EQ(transparent(Role::proxy), 0);
  EXPECT_EQ(transparent(Role::session), EPERM);
}

// The answer to a request to take the loopback interface down and up again: an errno, 0 for done.
long change_loopback(int netlink)
{
  struct
  {
    nlmsghdr header;
    ifinfomsg interface;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_NEWLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.interface.ifi_index = 1;
  request.interface.ifi_change = 1; // IFF_UP
  std::array<char, 1024> answer{};
  if (::send(netlink, &request, sizeof request, 0) == -1 || ::recv(netlink, answer.data(), answer.size(), 0) == -1) {
    return -1;
  }
  nlmsgerr error{};
  std::memcpy(&error, answer.data() + NLMSG_HDRLEN, sizeof error);
  errno = -error.error;
  return error.error == 0 ? 0 : -1;
}

TEST_F(ProxyConfinementTest, RouteSocketChangesNothing)
{
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  const auto attempt = [](bool without) {
    return in_child([without] {
      if (::unshare(CLONE_NEWNET) == -1) {
        return -1L;
      }
      const auto first_free = ::dup(0);
      ::close(first_free);
      const auto routes = without ? open_without_capabilities<RouteSocket>() : RouteSocket{};
      return change_loopback(first_free);
    });
  };
  EXPECT_EQ(attempt(false), 0) << "the control";
  EXPECT_EQ(attempt(true), EPERM);
}

} // namespace
} // namespace pepsal::test
