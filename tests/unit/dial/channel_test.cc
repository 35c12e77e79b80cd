#include "dial/channel.hh"

#include <thread>

#include <gtest/gtest.h>

#include "../proxy/loopback.hh"

namespace pepsal::test {
namespace {

class LegHandoverTest : public testing::Test
{
protected:
  // What a proxy gets if it asks for the leg to `server` and is handed this one.
  std::optional<TCPSocket> take(const Endpoint& server, const TCPSocket& given)
  {
    std::jthread dialler{[&] {
      for (;;) {
        if (const auto demand = handover_.next()) {
          LegHandover::give(*demand, given.number());
          return;
        }
        std::this_thread::yield();
      }
    }};
    return handover_.take({.client = *Endpoint::parse("192.0.2.1", 40000), .server = server});
  }

  LegHandover handover_;
};

TEST_F(LegHandoverTest, LegToItsServerIsTaken)
{
  const auto ends = make_ends();
  const auto leg = take(ends.proxy.local_endpoint(), ends.host);
  ASSERT_TRUE(leg);
  send_all(ends.proxy, "here");
  EXPECT_EQ(receive(*leg, 4), "here");
}

// A process that could answer in the dialler's place could redirect others' connections anywhere.
TEST_F(LegHandoverTest, LegToSomewhereElseIsNot)
{
  const auto ends = make_ends();
  EXPECT_FALSE(take(*Endpoint::parse("192.0.2.7", 443), ends.host));
  EXPECT_FALSE(take(*Endpoint::parse("127.0.0.1", 1), ends.host)) << "another port";
}

TEST_F(LegHandoverTest, WhoOnlyAsksCannotAnswer)
{
  const int end = handover_.asking_end();
  const auto asking = handover_.take_asking_end();
  EXPECT_EQ(asking.asking_end(), end);
  EXPECT_EQ(asking.dialler_end(), -1);
}

} // namespace
} // namespace pepsal::test
