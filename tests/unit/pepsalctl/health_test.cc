#include "pepsalctl/health.hh"

#include <array>
#include <sstream>

#include <gtest/gtest.h>

#include "pepsalctl/rules.hh"
#include "util/packet_queues.hh"

namespace pepsal {

namespace {

TEST(Health, HasALineForEachState)
{
  EXPECT_EQ((Health{.state = Health::State::ready}).line(), "ready");
  EXPECT_EQ((Health{.state = Health::State::draining}).line(), "draining");
  EXPECT_EQ((Health{.state = Health::State::not_ready, .reason = "no proxy is idle"}).line(),
            "not ready: no proxy is idle");
}

TEST(PacketQueues, AreReadFromTheKernelsTable)
{
  std::istringstream text{"    0   4711    12 2   128     3     4      900  1\n"
                          "rubbish\n"
                          "    7  12345     0 2   128     0     0        1  1\n"};
  const auto queues = read_packet_queues(text);
  ASSERT_EQ(queues.size(), 2);
  EXPECT_EQ(queues[0].number, 0);
  EXPECT_EQ(queues[0].waiting, 12);
  EXPECT_EQ(queues[0].dropped, 7);
  EXPECT_EQ(queues[1].number, 7);
}

TEST(Rules, LeadToAQueueByTheChainThatPreroutingJumpsTo)
{
  const std::array<std::uint16_t, 1> queues{2};
  const std::string jump = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j PEPSAL_two_PRE\n";
  const std::string ask = "-A PEPSAL_two_ASK -p tcp -j NFQUEUE --queue-";
  EXPECT_TRUE(rules_lead_to(jump + ask + "num 2 --queue-bypass\nCOMMIT\n", queues));
  EXPECT_TRUE(rules_lead_to(jump + ask + "balance 0:3 --queue-bypass\nCOMMIT\n", queues));
  EXPECT_FALSE(rules_lead_to(jump + ask + "num 3 --queue-bypass\nCOMMIT\n", queues));
  EXPECT_FALSE(rules_lead_to(jump + ask + "balance 3:5 --queue-bypass\nCOMMIT\n", queues));
  EXPECT_FALSE(rules_lead_to(ask + "num 2 --queue-bypass\nCOMMIT\n", queues)) << "nothing leads to the chain";
  EXPECT_FALSE(rules_lead_to("-A PREROUTING -j OTHER_PRE\n-A OTHER_ASK -j NFQUEUE --queue-num 2\n", queues));
  EXPECT_FALSE(rules_lead_to("", queues));
}

} // namespace

} // namespace pepsal
