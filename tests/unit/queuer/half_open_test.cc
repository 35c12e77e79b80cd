#include "queuer/half_open.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

class HalfOpenTest : public testing::Test
{
protected:
  void intercept(std::uint64_t syns)
  {
    table_.count(Counter::packets_queued, syns);
    table_.count(Counter::verdicts_intercept, syns);
  }
  void accept(std::uint64_t connections) { table_.count(Counter::connections_accepted, connections); }
  bool has_room() { return half_open_.has_room(now_); }
  // This many SYNs a second, whatever their verdict.
  void pass(int seconds, std::uint64_t syns)
  {
    for (int second = 0; second < seconds; ++second) {
      table_.count(Counter::packets_queued, syns);
      now_ += 1s;
      has_room();
    }
  }

  static constexpr int window = HalfOpen::window_seconds;
  SharedSegment segment_ = SharedSegment::anonymous({.max_connections = 100, .processes = 8});
  ConnectionTable table_{segment_};
  HalfOpen half_open_{table_};
  HalfOpen::Time now_{1h};
};

TEST_F(HalfOpenTest, SynsThatNobodyCompletesAreBounded)
{
  EXPECT_TRUE(has_room());
  intercept(HalfOpen::most - 1);
  EXPECT_TRUE(has_room());
  intercept(1);
  EXPECT_FALSE(has_room());
  pass(3, 10);
  EXPECT_FALSE(has_room()) << "the kernel still waits for them";
  pass(window, 10);
  EXPECT_TRUE(has_room());
}

TEST_F(HalfOpenTest, BypassLastsAsLongAsTheFlood)
{
  EXPECT_TRUE(has_room());
  intercept(HalfOpen::most);
  pass(3 * window, 10'000);
  EXPECT_FALSE(has_room());
  pass(1, 100);
  EXPECT_TRUE(has_room());
}

TEST_F(HalfOpenTest, WhatGoesOnIsTriedAgain)
{
  EXPECT_TRUE(has_room());
  intercept(HalfOpen::most);
  pass(90, 10'000);
  EXPECT_TRUE(has_room());
}

TEST_F(HalfOpenTest, ConnectionsAreNoBurden)
{
  EXPECT_TRUE(has_room());
  for (int second = 0; second < 30; ++second) {
    intercept(1000);
    accept(1000);
    pass(1, 0);
    EXPECT_TRUE(has_room());
  }
  accept(5); // of SYNs from before
  EXPECT_TRUE(has_room());
  intercept(HalfOpen::most + 5);
  EXPECT_FALSE(has_room());
}

TEST_F(HalfOpenTest, WhatIsLongAgoIsForgotten)
{
  EXPECT_TRUE(has_room());
  intercept(HalfOpen::most);
  EXPECT_FALSE(has_room());
  now_ += 1h;
  EXPECT_TRUE(has_room());
}

TEST_F(HalfOpenTest, QueuerThatBeginsLaterCountsFromItsBeginning)
{
  intercept(1'000'000);
  EXPECT_TRUE(has_room());
}

} // namespace
} // namespace pepsal::test
