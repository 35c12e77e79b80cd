#include "queuer/half_open.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

class HalfOpenTest : public testing::Test
{
protected:
  void intercept(std::uint64_t syns) { table_.count(Counter::verdicts_intercept, syns); }
  void accept(std::uint64_t connections) { table_.count(Counter::connections_accepted, connections); }
  bool has_room() { return half_open_.has_room(now_); }
  void pass(std::chrono::seconds time)
  {
    for (auto second = 0s; second < time; ++second) {
      now_ += 1s;
      has_room();
    }
  }

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
  pass(3s);
  EXPECT_FALSE(has_room()) << "the kernel still waits for them";
  pass(10s);
  EXPECT_TRUE(has_room());
}

TEST_F(HalfOpenTest, ConnectionsAreNoBurden)
{
  EXPECT_TRUE(has_room());
  for (int second = 0; second < 30; ++second) {
    intercept(1000);
    accept(1000);
    pass(1s);
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
