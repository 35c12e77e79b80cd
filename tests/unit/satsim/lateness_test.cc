#include "satsim/lateness.hh"

#include <gtest/gtest.h>

namespace pepsal::satsim {
namespace {

using std::chrono::microseconds;

TEST(Lateness, NothingIsZero)
{
  EXPECT_EQ(Lateness{}.quantile(0.99), Time{});
  EXPECT_EQ(Lateness{}.max(), Time{});
}

TEST(Lateness, QuantilesAreKnownToTenMicroseconds)
{
  Lateness lateness;
  for (int i = 0; i < 1000; ++i) {
    lateness.add(microseconds{i});
  }
  EXPECT_EQ(lateness.quantile(0.5), microseconds{500});
  EXPECT_EQ(lateness.quantile(0.99), microseconds{990});
  EXPECT_EQ(lateness.quantile(1), microseconds{999});
  EXPECT_EQ(lateness.max(), microseconds{999});
}

TEST(Lateness, BeyondTheBucketsTheMaximumIsGiven)
{
  Lateness lateness;
  lateness.add(std::chrono::seconds{1});
  EXPECT_EQ(lateness.quantile(0.5), std::chrono::seconds{1});
}

} // namespace
} // namespace pepsal::satsim
