#include "manager/lifecycle.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using State = Lifecycle::State;
using namespace std::chrono_literals;

class LifecycleTest : public testing::Test
{
protected:
  LifecycleTest() { lifecycle_.start_serving(); }

  State advance(Lifecycle::Time now, std::uint32_t pending, std::uint32_t proxies)
  {
    lifecycle_.advance(now, pending, proxies);
    return lifecycle_.state();
  }

  const Lifecycle::Time start_{std::chrono::hours{1}};
  Lifecycle lifecycle_;
};

TEST_F(LifecycleTest, ServesUntilItIsTold)
{
  EXPECT_EQ(advance(start_ + std::chrono::hours{1000}, 0, 0), State::serving);
  EXPECT_FALSE(lifecycle_.is_ending());
}

TEST_F(LifecycleTest, WaitsForConnectionsUnderWayAndThenForThoseInHand)
{
  lifecycle_.end(start_, 30s);
  EXPECT_TRUE(lifecycle_.is_ending());
  EXPECT_EQ(advance(start_, 2, 5), State::draining);
  EXPECT_EQ(advance(start_ + 1s, 0, 5), State::closing);
  EXPECT_EQ(advance(start_ + 29s, 1, 5), State::closing) << "nobody listens any more";
  EXPECT_EQ(advance(start_ + 29s, 0, 0), State::cutting);
}

TEST_F(LifecycleTest, CutsWhatHasNotEndedInTime)
{
  lifecycle_.end(start_, 30s);
  EXPECT_EQ(advance(start_ + 30s, 2, 5), State::closing);
  EXPECT_EQ(advance(start_ + 30s, 2, 5), State::cutting);
}

TEST_F(LifecycleTest, LeavingServesForTheGraceAndThenDrains)
{
  lifecycle_.leave(start_, 10s, 30s);
  EXPECT_TRUE(lifecycle_.is_leaving());
  EXPECT_EQ(advance(start_ + 9s, 0, 0), State::leaving);
  EXPECT_EQ(advance(start_ + 10s, 1, 1), State::draining);
  EXPECT_EQ(advance(start_ + 39s, 1, 1), State::draining);
  EXPECT_EQ(advance(start_ + 40s, 1, 1), State::closing);
}

TEST_F(LifecycleTest, StaysWhileItListens)
{
  lifecycle_.leave(start_, 10s, 30s);
  EXPECT_TRUE(lifecycle_.stay());
  EXPECT_EQ(advance(start_ + 1000s, 1, 1), State::serving);
  lifecycle_.end(start_, 30s);
  EXPECT_TRUE(lifecycle_.stay());
  lifecycle_.end(start_, 30s);
  EXPECT_EQ(advance(start_, 0, 1), State::closing);
  EXPECT_FALSE(lifecycle_.stay());
  EXPECT_TRUE(lifecycle_.is_ending());
}

TEST_F(LifecycleTest, ToldAgainItEndsAtOnce)
{
  lifecycle_.end(start_, 30s);
  advance(start_, 0, 5);
  lifecycle_.end(start_ + 1s, 30s);
  EXPECT_EQ(advance(start_ + 1s, 0, 5), State::cutting);
}

} // namespace
} // namespace pepsal::test
