#include "manager/spare_policy.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

const SparePolicy::Time start{std::chrono::hours{1}};

TEST(SparePolicy, ForksAllAtOnceWhenFewAreLeftAndTheRestInQuiet)
{
  SparePolicy policy{8};
  EXPECT_EQ(policy.take_missing(0, start), 8);
  EXPECT_EQ(policy.take_missing(8, start), 0);
  EXPECT_EQ(policy.take_missing(7, start + 1ms), 0) << "one missing is not urgent";
  EXPECT_EQ(policy.take_missing(4, start + 2ms), 4) << "half of them are taken";
  EXPECT_EQ(policy.take_missing(7, start + 2ms + SparePolicy::pause), 1);
}

TEST(SparePolicy, FollowsBurstsUpAndQuietDown)
{
  SparePolicy policy{8};
  for (const std::uint32_t target : {16U, 32U, 64U, 128U, 128U}) {
    policy.observe(0, start);
    EXPECT_EQ(policy.target(), target);
  }
  policy.observe(100, start + SparePolicy::quiet - 1ms);
  EXPECT_EQ(policy.target(), 128);
  auto now = start;
  for (const std::uint32_t target : {64U, 32U, 16U, 8U, 8U}) {
    now += SparePolicy::quiet;
    policy.observe(100, now);
    EXPECT_EQ(policy.target(), target);
  }
}

TEST(SparePolicy, OptionAboveTheBoundIsKept)
{
  SparePolicy policy{500};
  policy.observe(0, start);
  EXPECT_EQ(policy.target(), 500);
}

TEST(BackOff, WaitsLongerWithEachDeathUntilOneHasServed)
{
  BackOff back_off;
  auto now = start;
  EXPECT_TRUE(back_off.may_fork(now));
  for (auto pause = BackOff::first; pause < BackOff::longest; pause *= 2) {
    back_off.died(now);
    EXPECT_EQ(back_off.pause(), pause);
    EXPECT_FALSE(back_off.may_fork(now + pause - 1ms));
    now += pause;
    EXPECT_TRUE(back_off.may_fork(now));
  }
  for (int i = 0; i < 3; ++i) {
    back_off.died(now);
    EXPECT_EQ(back_off.pause(), BackOff::longest);
    now += BackOff::longest;
  }
  back_off.served();
  back_off.died(now);
  EXPECT_EQ(back_off.pause(), BackOff::first);
}

TEST(BackOff, ServiceIsBackWithinTwoSeconds)
{
  EXPECT_LE(BackOff::longest, 1s); // the cause may disappear right after the last death
}

TEST(BackOff, DeathsTogetherAreOne)
{
  BackOff back_off;
  for (int i = 0; i < 8; ++i) {
    back_off.died(start + i * 1ms);
  }
  EXPECT_EQ(back_off.pause(), BackOff::first);
  EXPECT_TRUE(back_off.may_fork(start + BackOff::first));
}

} // namespace
} // namespace pepsal::test
