#include "peer/pool_policy.hh"

#include <gtest/gtest.h>

using namespace pepsal;
using namespace std::chrono_literals;

namespace {

constexpr PoolPolicy::Time start{1h};

} // namespace

TEST(PoolPolicy, KeepsWhatItWasTold)
{
  PoolPolicy policy{8};
  EXPECT_EQ(policy.missing(0, 0, true), 8U);
  EXPECT_EQ(policy.missing(3, 2, true), 3U);
  EXPECT_EQ(policy.missing(8, 0, true), 0U);
  EXPECT_EQ(policy.missing(9, 4, true), 0U);
  EXPECT_EQ(policy.surplus(8, start), 0U);
}

TEST(PoolPolicy, TriesOneWhileThePeerIsNotKnownToBeUp)
{
  const PoolPolicy policy{8};
  EXPECT_EQ(policy.missing(0, 0, false), 1U);
  EXPECT_EQ(policy.missing(0, 1, false), 0U);
}

TEST(PoolPolicy, NoneMeansNone)
{
  PoolPolicy policy{0};
  policy.taken(0, start);
  EXPECT_EQ(policy.missing(0, 0, true), 0U);
  EXPECT_EQ(policy.missing(0, 0, false), 0U);
}

TEST(PoolPolicy, DoublesWhenTheLastOneIsTakenUpToALimit)
{
  PoolPolicy policy{8};
  policy.taken(1, start);
  EXPECT_EQ(policy.target(), 8U);
  policy.taken(0, start);
  EXPECT_EQ(policy.target(), 16U);
  for (int i = 0; i < 10; ++i) {
    policy.taken(0, start);
  }
  EXPECT_EQ(policy.target(), PoolPolicy::most);
}

TEST(PoolPolicy, OptionAboveTheLimitCounts)
{
  PoolPolicy policy{500};
  policy.taken(0, start);
  EXPECT_EQ(policy.target(), 500U);
}

TEST(PoolPolicy, HalvesInQuietDownToTheOption)
{
  PoolPolicy policy{6};
  policy.taken(0, start);
  policy.taken(0, start);
  EXPECT_EQ(policy.target(), 24U);
  EXPECT_EQ(policy.surplus(24, start + PoolPolicy::quiet - 1s), 0U);
  EXPECT_EQ(policy.surplus(24, start + PoolPolicy::quiet), 12U);
  EXPECT_EQ(policy.surplus(12, start + PoolPolicy::quiet + 1s), 0U);
  EXPECT_EQ(policy.surplus(12, start + 2 * PoolPolicy::quiet), 6U);
  EXPECT_EQ(policy.surplus(6, start + 9 * PoolPolicy::quiet), 0U);
  EXPECT_EQ(policy.target(), 6U);
}

TEST(RetryPolicy, WaitsTwiceAsLongEachTime)
{
  RetryPolicy policy;
  EXPECT_TRUE(policy.may_try(start));
  policy.failed(start);
  EXPECT_FALSE(policy.may_try(start));
  EXPECT_TRUE(policy.may_try(start + 1s));
  policy.failed(start);
  EXPECT_FALSE(policy.may_try(start + 1s));
  EXPECT_TRUE(policy.may_try(start + 2s));
  for (int i = 0; i < 20; ++i) {
    policy.failed(start);
  }
  EXPECT_EQ(policy.next(), start + RetryPolicy::longest);
  policy.succeeded();
  EXPECT_TRUE(policy.may_try(start));
  policy.failed(start);
  EXPECT_EQ(policy.next(), start + RetryPolicy::first);
}
