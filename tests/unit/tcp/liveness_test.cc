#include "tcp/liveness.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

class LivenessTest : public testing::Test
{
protected:
  Liveness liveness_{100s};
  Liveness::TimePoint start_{1h};
};

TEST_F(LivenessTest, SilenceThatNobodyAsksIntoIsNoDeath)
{
  EXPECT_TRUE(liveness_.lives({.since_heard = 0s}, start_));
  EXPECT_TRUE(liveness_.lives({.since_heard = 10h}, start_ + 10h));
}

TEST_F(LivenessTest, UnansweredDataIsDeathAfterTheUserTimeout)
{
  EXPECT_TRUE(liveness_.lives({.unacknowledged_segments = 1, .since_data_sent = 1s, .since_heard = 500s}, start_));
  EXPECT_TRUE(
      liveness_.lives({.unacknowledged_segments = 1, .since_data_sent = 8s, .since_heard = 598s}, start_ + 98s));
  EXPECT_FALSE(
      liveness_.lives({.unacknowledged_segments = 1, .since_data_sent = 9s, .since_heard = 599s}, start_ + 99s));
}

TEST_F(LivenessTest, SlowReceiverLives)
{
  for (auto now = start_; now < start_ + 1h; now += 20s) {
    EXPECT_TRUE(liveness_.lives({.unacknowledged_segments = 9, .since_data_sent = 1s, .since_heard = 19s}, now));
  }
}

// Each probe is answered with a closed window; in the end, the kernel probes every two minutes.
TEST_F(LivenessTest, PausedReceiverLives)
{
  for (auto now = start_; now < start_ + 10h; now += 20s) {
    EXPECT_TRUE(liveness_.lives({.probes_unanswered = false, .since_heard = 119s}, now));
  }
}

TEST_F(LivenessTest, FadeShorterThanTheUserTimeoutIsSurvived)
{
  EXPECT_TRUE(liveness_.lives({.probes_unanswered = true, .since_heard = 60s}, start_));
  EXPECT_TRUE(liveness_.lives({.probes_unanswered = true, .since_heard = 150s}, start_ + 90s));
  EXPECT_TRUE(liveness_.lives({.probes_unanswered = false, .since_heard = 5s}, start_ + 110s));
  EXPECT_TRUE(liveness_.lives({.probes_unanswered = true, .since_heard = 100s}, start_ + 205s));
  EXPECT_FALSE(liveness_.lives({.probes_unanswered = true, .since_heard = 200s}, start_ + 305s));
}

// A retransmission into a closed window is answered within the clock's tick.
TEST_F(LivenessTest, PausedReceiverWithDataOnItsWayLives)
{
  for (auto now = start_; now < start_ + 10h; now += 20s) {
    EXPECT_TRUE(liveness_.lives({.unacknowledged_segments = 3, .since_data_sent = 60s, .since_heard = 60s}, now));
  }
}

// The peer has answered and been asked again between two looks.
TEST_F(LivenessTest, AnswerBetweenTwoLooksCounts)
{
  EXPECT_TRUE(liveness_.lives({.probes_unanswered = true, .since_heard = 60s}, start_));
  EXPECT_TRUE(liveness_.lives({.probes_unanswered = true, .since_heard = 50s}, start_ + 100s));
  EXPECT_TRUE(liveness_.lives({.probes_unanswered = true, .since_heard = 140s}, start_ + 190s));
  EXPECT_FALSE(liveness_.lives({.probes_unanswered = true, .since_heard = 150s}, start_ + 200s));
}

TEST(Keepalives, OfThePeerAreThoseThatNoProbeAskedFor)
{
  const TcpFacts before{.segments_received = 0xffff'fffe};
  // Twelve in a minute, while the leg itself has not probed.
  EXPECT_EQ(unasked_segments(before, {.segments_received = 10, .since_heard = 90s}, 60s, 600s), 12);
  // Answers to the leg's own probes, one each ten seconds.
  EXPECT_EQ(unasked_segments(before, {.segments_received = 4, .since_heard = 1s}, 60s, 10s), 0);
  EXPECT_EQ(unasked_segments(before, {.segments_received = 5, .since_heard = 1s}, 60s, 10s), 1);
}

// Some systems send the last byte again; the kernel takes that for an answer, too.
TEST(Keepalives, WithAByteAreSeen)
{
  EXPECT_EQ(unasked_segments({}, {.segments_received = 6, .data_segments_received = 6, .since_heard = 2s}, 60s, 600s),
            6);
}

TEST(Keepalives, AreFollowedAtLeastAsOften)
{
  EXPECT_EQ(followed_interval(60s, 0, 600s), 600s);
  EXPECT_EQ(followed_interval(60s, 1, 600s), 30s);
  EXPECT_EQ(followed_interval(60s, 12, 600s), 4s);
  EXPECT_EQ(followed_interval(4s, 20, 600s), 1s);
  EXPECT_EQ(followed_interval(60s, 1, 10s), 10s) << "the leg's own are more frequent";
}

} // namespace
} // namespace pepsal::test
