#include "satsim/loss_model.hh"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace pepsal::satsim {
namespace {

std::vector<bool> row(LossModel model, int packets)
{
  std::vector<bool> lost;
  for (int i = 0; i < packets; ++i) {
    lost.push_back(model.next_is_lost());
  }
  return lost;
}

double share(const std::vector<bool>& lost)
{
  return static_cast<double>(std::ranges::count(lost, true)) / static_cast<double>(lost.size());
}

std::vector<int> burst_lengths(const std::vector<bool>& lost)
{
  std::vector<int> lengths;
  int length = 0;
  for (const bool one : lost) {
    if (one) {
      ++length;
    } else if (length > 0) {
      lengths.push_back(length);
      length = 0;
    }
  }
  return lengths;
}

double mean(const std::vector<int>& values)
{
  double sum = 0;
  for (const int value : values) {
    sum += value;
  }
  return sum / static_cast<double>(values.size());
}

TEST(LossModel, NeverAndAlways)
{
  EXPECT_EQ(share(row({0, {}, 1}, 10'000)), 0);
  EXPECT_EQ(share(row({1, {}, 1}, 10'000)), 1);
}

TEST(LossModel, RandomLossHasItsProbability)
{
  for (const double probability : {0.001, 0.01, 0.06, 0.5}) {
    constexpr int packets = 400'000;
    // Five standard deviations of the binomial distribution; the seeds are fixed, so luck plays no role.
    const double tolerance = 5 * std::sqrt(probability * (1 - probability) / packets);
    EXPECT_NEAR(share(row({probability, {}, 7}, packets)), probability, tolerance) << probability;
  }
}

TEST(LossModel, RandomLossComesAlone)
{
  // With independent losses, the mean length of a run is 1 / (1 - p).
  EXPECT_NEAR(mean(burst_lengths(row({0.06, {}, 3}, 400'000))), 1 / 0.94, 0.02);
}

TEST(LossModel, SeedDecides)
{
  EXPECT_EQ(row({0.1, {}, 5}, 1000), row({0.1, {}, 5}, 1000));
  EXPECT_NE(row({0.1, {}, 5}, 1000), row({0.1, {}, 6}, 1000));
}

TEST(LossModel, BurstsHaveTheirLengthAndShare)
{
  for (const auto& [to_bad, to_good] : {std::pair{0.01, 0.2}, std::pair{0.0016835, 0.1666667}, std::pair{0.05, 0.5}}) {
    const auto lost = row({0, {.good_to_bad = to_bad, .bad_to_good = to_good}, 11}, 2'000'000);
    const auto lengths = burst_lengths(lost);
    // Four standard deviations of the mean of geometric lengths, and of the sum of that many bursts.
    const double relative = 4 / std::sqrt(static_cast<double>(lengths.size()));
    EXPECT_NEAR(mean(lengths) * to_good, 1, relative);
    EXPECT_NEAR(share(lost) / (to_bad / (to_bad + to_good)), 1, relative * std::sqrt(2));
  }
}

TEST(LossModel, BothStatesMayLosePart)
{
  const BurstLoss burst{.good_to_bad = 0.01, .bad_to_good = 0.04, .loss_in_bad = 0.5, .loss_in_good = 0.1};
  // A fifth of the time is bad: 0.2 * 0.5 + 0.8 * 0.1.
  EXPECT_NEAR(share(row({0, burst, 2}, 2'000'000)), 0.18, 0.005);
}

TEST(LossModel, RandomLossDoesNotShiftTheBursts)
{
  const BurstLoss burst{.good_to_bad = 0.01, .bad_to_good = 0.2};
  const auto without = row({0, burst, 9}, 100'000);
  const auto with = row({0.05, burst, 9}, 100'000);
  for (std::size_t i = 0; i < without.size(); ++i) {
    ASSERT_TRUE(!without[i] || with[i]) << "packet " << i << " is lost in a burst in one row only";
  }
}

TEST(LossModel, RandomLossMayChange)
{
  LossModel model{0, {}, 1};
  EXPECT_FALSE(model.next_is_lost());
  model.set_random_loss(1);
  EXPECT_TRUE(model.next_is_lost());
}

} // namespace
} // namespace pepsal::satsim
