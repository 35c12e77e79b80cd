#include "util/notify.hh"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/file_descriptor.hh"

namespace pepsal {

namespace {

using namespace std::chrono_literals;

// A service manager's side: a bound datagram socket and the variables that lead to it.
class NotifyTest : public testing::Test
{
protected:
  ~NotifyTest() override
  {
    for (const auto* const name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      ::unsetenv(name);
    }
    if (!path_.empty() && path_.front() != '@') {
      ::unlink(path_.c_str());
    }
  }

  void listen(const std::string& path)
  {
    path_ = path;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    if (path.front() == '@') {
      address.sun_path[0] = '\0';
    }
    socket_ = FileDescriptor{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    ASSERT_EQ(::bind(socket_.number(), reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size())),
              0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }

  // What was sent to a UNIX socket is there at once.
  std::string received() const
  {
    std::array<char, 512> text{};
    const auto bytes = ::recv(socket_.number(), text.data(), text.size(), 0);
    return bytes < 0 ? "nothing" : std::string{text.data(), static_cast<std::size_t>(bytes)};
  }

private:
  std::string path_;
  FileDescriptor socket_;
};

TEST_F(NotifyTest, TellsOfEachState)
{
  listen(fmt::format("@pepsal-notify-{}", ::getpid()));
  const ServiceNotifier notifier;
  notifier.ready("serving");
  EXPECT_EQ(received(), "READY=1\nSTATUS=serving");
  notifier.reloading();
  EXPECT_TRUE(received().starts_with("RELOADING=1\nMONOTONIC_USEC="));
  notifier.draining("draining", 60s);
  EXPECT_EQ(received(), "STATUS=draining\nEXTEND_TIMEOUT_USEC=70000000");
  notifier.stopping();
  EXPECT_EQ(received(), "STOPPING=1");
}

TEST_F(NotifyTest, FindsASocketInTheFileSystem)
{
  listen(fmt::format("{}/pepsal-notify-{}", testing::TempDir(), ::getpid()));
  ServiceNotifier{}.ready("serving");
  EXPECT_EQ(received(), "READY=1\nSTATUS=serving");
}

TEST_F(NotifyTest, FeedsTheWatchdogTwiceAPeriod)
{
  listen(fmt::format("@pepsal-notify-{}", ::getpid()));
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  ServiceNotifier notifier;
  const auto now = ServiceNotifier::Clock::now();
  ASSERT_TRUE(notifier.is_due(now));
  notifier.alive(now, "3 connections");
  EXPECT_EQ(received(), "WATCHDOG=1\nSTATUS=3 connections");
  EXPECT_FALSE(notifier.is_due(now + 14s));
  EXPECT_EQ(notifier.next(), now + 15s);
}

TEST_F(NotifyTest, LeavesTheWatchdogOfAnotherProcessAlone)
{
  listen(fmt::format("@pepsal-notify-{}", ::getpid()));
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(ServiceNotifier{}.next(), ServiceNotifier::Clock::time_point::max());
}

TEST_F(NotifyTest, NobodyListeningIsNoTrouble)
{
  ServiceNotifier{}.ready("serving");
  ::setenv("NOTIFY_SOCKET", "@pepsal-nobody-listens-here", 1);
  ServiceNotifier{}.ready("serving");
  ::setenv("NOTIFY_SOCKET", std::string(200, 'x').c_str(), 1);
  ServiceNotifier{}.ready("serving");
}

} // namespace

} // namespace pepsal
