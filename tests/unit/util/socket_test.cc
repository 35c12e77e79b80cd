#include "util/socket.hh"

#include <cerrno>

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "../proxy/loopback.hh"

namespace pepsal::test {
namespace {

class SocketTest : public testing::Test
{
protected:
  LoopbackEnds ends_{make_ends()};
};

TEST_F(SocketTest, TellsItsEnds)
{
  EXPECT_EQ(ends_.proxy.family(), AF_INET);
  EXPECT_EQ(ends_.proxy.local_endpoint(), ends_.host.remote_endpoint());
  EXPECT_EQ(ends_.proxy.remote_endpoint(), ends_.host.local_endpoint());
  EXPECT_EQ(ends_.proxy.state(), TCP_ESTABLISHED);
  EXPECT_EQ(ends_.proxy.bound_interface(), "");
  EXPECT_FALSE(new_socket().remote_endpoint().has_value());
}

// So that a dying process leaves no clean end behind.
TEST_F(SocketTest, ResetOnCloseIsToldOnceAtTheOtherEnd)
{
  ends_.proxy.set_reset_on_close(true);
  ends_.proxy.close();
  EXPECT_EQ(ends_.host.take_error(), ECONNRESET);
  EXPECT_EQ(ends_.host.take_error(), 0);
}

TEST_F(SocketTest, WithoutItTheEndIsClean)
{
  ends_.proxy.set_reset_on_close(true);
  ends_.proxy.set_reset_on_close(false);
  ends_.proxy.close();
  EXPECT_EQ(receive_all(ends_.host), "");
  EXPECT_EQ(ends_.host.take_error(), 0);
}

TEST_F(SocketTest, TrafficClassLeavesTheBitsOfEcnAlone)
{
  constexpr std::uint8_t expedited = 46 << 2;
  ends_.proxy.set_traffic_class(expedited | 3);
  int value = 0;
  socklen_t length = sizeof value;
  ASSERT_EQ(::getsockopt(ends_.proxy.number(), IPPROTO_IP, IP_TOS, &value, &length), 0);
  EXPECT_EQ(value & 0xfc, expedited);
}

TEST_F(SocketTest, NamesTheOptionThatTheKernelRefuses)
{
  try {
    ends_.proxy.set_congestion("nosuch");
    FAIL() << "there is no such congestion control";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string{error.what()}.find("nosuch"), std::string::npos) << error.what();
  }
}

} // namespace
} // namespace pepsal::test
