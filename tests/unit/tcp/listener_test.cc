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

// Ten seconds mean ten seconds, for the first probe and for all that follow.
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

// What follows from a link's description applies to the legs across it, and to no others.
TEST(ProfileOfTest, BuffersFollowFromTheLinkOnItsSideOnly)
{
  Config config;
  config.satellite.congestion = "reno";
  config.terrestrial.congestion = "cubic";
  add_link(config.links, "sat0 rate=50/10 rtt=600 side=gateway");
  const auto satellite = profile_of(config, &config.links.front());
  const auto terrestrial = profile_of(config, nullptr);
  constexpr auto product_down = static_cast<std::uint32_t>(50e6 / 8 * 0.6); // which this side sends
  EXPECT_EQ(satellite.congestion, "reno");
  EXPECT_GT(satellite.send_buffer_bytes, product_down);
  EXPECT_LT(satellite.receive_buffer_bytes, satellite.send_buffer_bytes);
  EXPECT_EQ(terrestrial.congestion, "cubic");
  EXPECT_EQ(terrestrial.send_buffer_bytes, 0U); // the kernel's choice
}

TEST(ProfileOfTest, LinkWithoutRatesHasTheSatellitesProfileAndTheKernelsBuffers)
{
  Config config;
  config.satellite.keepalive = std::chrono::seconds{77};
  add_link(config.links, "sat0");
  const auto profile = profile_of(config, &config.links.front());
  EXPECT_EQ(profile.keepalive, std::chrono::seconds{77});
  EXPECT_EQ(profile.send_buffer_bytes, 0U);
}

} // namespace
} // namespace pepsal::test
