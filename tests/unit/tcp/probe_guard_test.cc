#include "tcp/probe_guard.hh"

#include <csignal>
#include <sys/socket.h>
#include <sys/time.h>

#include <gtest/gtest.h>

#include "util/system_error.hh"

namespace pepsal {
namespace {

TCPSocket socket_with(const std::string& congestion)
{
  TCPSocket socket{check("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  socket.set_congestion(congestion);
  return socket;
}

bool timer_runs()
{
  itimerval timer{};
  check("getitimer", ::getitimer(ITIMER_REAL, &timer));
  return timer.it_value.tv_sec > 0 || timer.it_value.tv_usec > 0;
}

TEST(ProbeGuard, LeavesOthersThanBbrAlone)
{
  const auto socket = socket_with("reno");
  ProbeGuard guard;
  guard.watch(socket);
  EXPECT_FALSE(timer_runs());
}

TEST(ProbeGuard, ChoosesBbrAnewWhileItLives)
{
  TCPSocket socket;
  try {
    socket = socket_with("bbr");
  } catch (const SystemError& error) {
    GTEST_SKIP() << "no BBR for this user: " << error.what();
  }
  {
    ProbeGuard guard;
    guard.watch(socket);
    EXPECT_TRUE(timer_runs());
    std::raise(SIGALRM);
    EXPECT_EQ(socket.congestion(), "bbr");
  }
  EXPECT_FALSE(timer_runs());
  std::raise(SIGALRM); // one that was in flight
  EXPECT_EQ(socket.congestion(), "bbr");
}

} // namespace
} // namespace pepsal
