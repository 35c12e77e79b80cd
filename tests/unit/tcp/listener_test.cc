#include "tcp/listener.hh"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "util/system_error.hh"

namespace pepsal::test {
namespace {

int option(const TCPSocket& socket, int name)
{
  int value = -1;
  socklen_t length = sizeof value;
  check("getsockopt", ::getsockopt(socket.number(), IPPROTO_TCP, name, &value, &length));
  return value;
}

class ProfileTest : public testing::Test
{
protected:
  TCPSocket socket_{check("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  LegProfile profile_;
};

// Ten seconds are ten seconds, for the first probe and for all that follow.
TEST_F(ProfileTest, KeepalivesComeAsOftenAsAskedFor)
{
  profile_.keepalive = std::chrono::seconds{10};
  apply_profile(socket_, profile_);
  EXPECT_EQ(option(socket_, TCP_KEEPIDLE), 10);
  EXPECT_EQ(option(socket_, TCP_KEEPINTVL), 10);
}

TEST_F(ProfileTest, UnansweredKeepalivesAreRepeatedEachMinute)
{
  profile_.keepalive = std::chrono::seconds{3600};
  apply_profile(socket_, profile_);
  EXPECT_EQ(option(socket_, TCP_KEEPIDLE), 3600);
  EXPECT_EQ(option(socket_, TCP_KEEPINTVL), 60);
}

// The kernel would count a closed window against a peer that answers.
TEST_F(ProfileTest, KernelGivesNoPeerUp)
{
  profile_.user_timeout = std::chrono::seconds{86400};
  apply_profile(socket_, profile_);
  EXPECT_GT(option(socket_, TCP_USER_TIMEOUT), 86400 * 1000);
}

} // namespace
} // namespace pepsal::test
