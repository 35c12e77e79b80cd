// The timer behind ProbeGuard. It interrupts the main thread of a proxy, which restarts all system calls after EINTR;
// setsockopt(2) may be called from a signal handler (signal-safety(7)).

#include "tcp/probe_guard.hh"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include "util/process.hh"

namespace pepsal {

namespace {

constexpr long interval_s = 6; // well below BBR's ten seconds
constexpr std::string_view bbr = "bbr";
constexpr std::string_view other = "reno"; // always available; used for a moment in between

// What the handler works on: both legs may be on the satellite side.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a signal handler takes no argument.
std::array<std::atomic<int>, 2> guarded{-1, -1};

void choose(int socket, std::string_view name)
{
  ::setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size()));
}

void on_timer(int /*signal*/)
{
  const int saved_errno = errno;
  for (const auto& socket : guarded) {
    if (socket != -1) {
      choose(socket, other);
      choose(socket, bbr);
    }
  }
  errno = saved_errno;
}

// Cannot fail: the clock exists and the interval is in range (setitimer(2)).
void set_timer(long seconds)
{
  const itimerval timer{.it_interval = {.tv_sec = seconds, .tv_usec = 0},
                        .it_value = {.tv_sec = seconds, .tv_usec = 0}};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

} // namespace

void ProbeGuard::watch(const TCPSocket& socket)
{
  if (socket.congestion() != bbr) {
    return;
  }
  for (auto& place : guarded) {
    if (place == -1) {
      place = socket.number();
      break;
    }
  }
  handle_signal(SIGALRM, on_timer, true);
  set_timer(interval_s);
  watching_ = true;
}

ProbeGuard::~ProbeGuard()
{
  if (watching_) {
    set_timer(0);
    for (auto& socket : guarded) {
      socket = -1;
    }
  }
}

} // namespace pepsal
