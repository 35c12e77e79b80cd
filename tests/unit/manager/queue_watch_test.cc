#include "manager/queue_watch.hh"

#include <array>

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

constexpr QueueWatch::Time beginning{};

QueueFacts queue(std::uint32_t waiting, std::uint32_t sequence)
{
  return {.number = 3, .waiting = waiting, .dropped = 0, .sequence = sequence};
}

std::vector<std::uint16_t> look(QueueWatch& watch, const QueueFacts& facts, std::chrono::seconds after)
{
  return watch.look(std::array{facts}, beginning + after);
}

TEST(QueueWatchTest, FindsAQueuerThatGivesNoVerdictWhilePacketsWait)
{
  QueueWatch watch;
  EXPECT_TRUE(look(watch, queue(1, 10), 0s).empty());
  EXPECT_TRUE(look(watch, queue(5, 14), 4s).empty()) << "more came, and none was answered";
  EXPECT_EQ(look(watch, queue(9, 18), QueueWatch::patience), (std::vector<std::uint16_t>{3}));
  EXPECT_TRUE(look(watch, queue(9, 18), QueueWatch::patience + 1s).empty()) << "its successor has time of its own";
}

TEST(QueueWatchTest, OneThatAnswersSomeIsAtWork)
{
  QueueWatch watch;
  for (std::uint32_t i = 0; i < 20; ++i) {
    EXPECT_TRUE(look(watch, queue(100, 0xffff'fff0U + i), std::chrono::seconds{4 * i}).empty());
  }
}

TEST(QueueWatchTest, NothingToDoIsNoReason)
{
  QueueWatch watch;
  EXPECT_TRUE(look(watch, queue(0, 10), 0s).empty());
  EXPECT_TRUE(look(watch, queue(0, 10), 60s).empty());
  EXPECT_TRUE(look(watch, queue(1, 11), 61s).empty());
  EXPECT_TRUE(look(watch, queue(0, 11), 64s).empty());
  EXPECT_TRUE(look(watch, queue(1, 12), 70s).empty());
}

} // namespace
} // namespace pepsal::test
