#include "util/packet_queues.hh"

#include <sstream>

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

// As Linux 6.1 prints two queues, the second one with losses of both kinds.
TEST(PacketQueuesTest, EachLineIsAQueue)
{
  std::istringstream text{"    0   4711     3 2   256     0     0       45  1\n"
                          "    7   4712     0 2 65535     2     5      100  1\n"};
  const auto queues = read_packet_queues(text);
  ASSERT_EQ(queues.size(), 2U);
  EXPECT_EQ(queues[0].number, 0);
  EXPECT_EQ(queues[0].waiting, 3U);
  EXPECT_EQ(queues[0].dropped, 0U);
  EXPECT_EQ(queues[0].handled(), 42U);
  EXPECT_EQ(queues[1].number, 7);
  EXPECT_EQ(queues[1].dropped, 7U);
}

TEST(PacketQueuesTest, LinesThatMakeNoSenseAreLeftOut)
{
  std::istringstream text{
      "\nno queue\n    0   4711     3\n 99999 1 1 1 1 1 1 1 1\n    1   4711     0 2   256     0     0       9  1\n"};
  const auto queues = read_packet_queues(text);
  ASSERT_EQ(queues.size(), 1U);
  EXPECT_EQ(queues[0].number, 1);
}

// The kernel's number of packets wraps after 2^32 - 1, and may have done so with packets waiting.
TEST(PacketQueuesTest, NumbersOfPacketsGoRound)
{
  const QueueFacts facts{.number = 0, .waiting = 3, .dropped = 0, .sequence = 1};
  EXPECT_EQ(facts.handled(), 0xfffffffeU);
}

} // namespace
} // namespace pepsal::test
