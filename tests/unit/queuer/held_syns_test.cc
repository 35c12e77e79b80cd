#include "queuer/held_syns.hh"

#include <array>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

using namespace pepsal;
using namespace std::chrono_literals;

namespace {

class HeldSynsTest : public testing::Test
{
protected:
  HeldSynsTest()
      : held_{FileDescriptor{::dup(channel_.queuer_end())}}
  {
    EXPECT_EQ(receive_request(channel_.dialler_end())->generation, 0); // a queuer asks whether there is a dialler
  }

  static Connection connection(unsigned client, std::uint16_t port)
  {
    const auto third = static_cast<std::uint8_t>(client >> 8);
    const std::array<std::uint8_t, 4> address{10, 0, third, static_cast<std::uint8_t>(client)};
    return {
        .client = Endpoint::from_ipv4(address.data(), port), .server = *Endpoint::parse("192.0.2.1", 80), .syn = {}};
  }

  bool hold(const Connection& connection)
  {
    HeldSyns::Held held{.verdict = Verdict{outbox_, 0, ++packets_}, .mark = 0, .connection = connection, .entry = {}};
    if (held_.hold(held, now_)) {
      return true;
    }
    held.verdict.release();
    return false;
  }

  void say(DialAnswer::Kind kind, std::uint64_t number)
  {
    ASSERT_TRUE(send_object(channel_.dialler_end(), DialAnswer{.kind = kind, .number = number}));
    settle();
  }

  void settle()
  {
    held_.settle(now_, [this](HeldSyns::Held held, HeldSyns::Outcome outcome) {
      held.verdict.release();
      outcomes_.push_back(outcome);
    });
  }

  std::uint64_t asked()
  {
    const auto request = receive_request(channel_.dialler_end());
    return request ? request->number : 0;
  }

  std::vector<std::byte> outbox_;
  std::uint32_t packets_{};
  DialChannel channel_;
  HeldSyns held_;
  HeldSyns::Time now_{};
  std::vector<HeldSyns::Outcome> outcomes_;
  using Outcomes = std::vector<HeldSyns::Outcome>;
};

} // namespace

TEST_F(HeldSynsTest, NothingIsHeldBeforeThereIsADialler)
{
  EXPECT_FALSE(hold(connection(1, 1000)));
  say(DialAnswer::Kind::ready, 7);
  EXPECT_TRUE(hold(connection(1, 1000)));
  const auto request = receive_request(channel_.dialler_end());
  ASSERT_TRUE(request);
  EXPECT_EQ(request->generation, 7);
  EXPECT_EQ(request->connection.client, connection(1, 1000).client);
}

TEST_F(HeldSynsTest, TheAnswerIsTheOutcome)
{
  say(DialAnswer::Kind::ready, 7);
  const std::array kinds{DialAnswer::Kind::accepted, DialAnswer::Kind::not_asked, DialAnswer::Kind::failed,
                         DialAnswer::Kind::no_room};
  std::uint16_t port = 1000;
  for (const auto kind : kinds) {
    ASSERT_TRUE(hold(connection(1, ++port)));
    const auto number = asked();
    say(kind, number);
    say(kind, number); // a repeated answer has no effect
  }
  EXPECT_EQ(outcomes_, (Outcomes{HeldSyns::Outcome::intercept, HeldSyns::Outcome::intercept, HeldSyns::Outcome::refused,
                                 HeldSyns::Outcome::not_served}));
  EXPECT_EQ(held_.size(), 0);
}

TEST_F(HeldSynsTest, AfterARefusalRepeatsPassForAWhile)
{
  say(DialAnswer::Kind::ready, 7);
  ASSERT_TRUE(hold(connection(1, 1000)));
  say(DialAnswer::Kind::failed, asked());
  EXPECT_TRUE(held_.was_refused(connection(1, 1000), now_ + 9s));
  EXPECT_FALSE(held_.was_refused(connection(1, 1001), now_ + 9s));
  EXPECT_FALSE(held_.was_refused(connection(1, 1000), now_ + 11s));
}

TEST_F(HeldSynsTest, ARepeatTakesThePlaceOfTheOlderPacket)
{
  say(DialAnswer::Kind::ready, 7);
  Verdict first{outbox_, 0, 1};
  EXPECT_FALSE(held_.replace(connection(1, 1000), first, 0));
  first.release();
  ASSERT_TRUE(hold(connection(1, 1000)));
  const auto number = asked();
  const auto sent = outbox_.size();
  Verdict second{outbox_, 0, 2};
  EXPECT_TRUE(held_.replace(connection(1, 1000), second, 0));
  EXPECT_GT(outbox_.size(), sent); // the older one has its verdict
  EXPECT_EQ(asked(), 0);
  say(DialAnswer::Kind::accepted, number);
  EXPECT_EQ(outcomes_, (Outcomes{HeldSyns::Outcome::intercept}));
}

TEST_F(HeldSynsTest, ALostDiallerLetsAllGo)
{
  say(DialAnswer::Kind::ready, 7);
  ASSERT_TRUE(hold(connection(1, 1000)));
  ASSERT_TRUE(hold(connection(2, 1000)));
  say(DialAnswer::Kind::lost, 0);
  EXPECT_EQ(outcomes_, (Outcomes{HeldSyns::Outcome::not_served, HeldSyns::Outcome::not_served}));
  EXPECT_FALSE(hold(connection(3, 1000)));
}

TEST_F(HeldSynsTest, ADiallerThatHangsIsGivenUp)
{
  say(DialAnswer::Kind::ready, 7);
  ASSERT_TRUE(hold(connection(1, 1000)));
  ASSERT_TRUE(held_.deadline());
  now_ = *held_.deadline();
  settle();
  EXPECT_EQ(outcomes_, (Outcomes{HeldSyns::Outcome::not_served}));
  EXPECT_FALSE(held_.deadline());
}

TEST_F(HeldSynsTest, OneClientMayHaveAShare)
{
  say(DialAnswer::Kind::ready, 7);
  std::size_t count = 0;
  for (std::uint16_t port = 1; hold(connection(1, port)); ++port) {
    EXPECT_NE(asked(), 0);
    ++count;
  }
  EXPECT_EQ(count, HeldSyns::most_of_a_client);
  EXPECT_TRUE(hold(connection(2, 1)));
}

TEST_F(HeldSynsTest, AllTogetherAreBounded)
{
  say(DialAnswer::Kind::ready, 7);
  std::size_t count = 0;
  for (unsigned client = 1; hold(connection(client, 1)); ++client) {
    EXPECT_NE(asked(), 0);
    ++count;
  }
  EXPECT_EQ(count, HeldSyns::most);
}
