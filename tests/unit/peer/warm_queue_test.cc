#include "peer/warm_queue.hh"

#include <array>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace pepsal;

namespace {

// Any socket will do; its other end identifies it.
struct Pair
{
  Pair()
  {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    warm = TCPSocket{ends[0]};
    other = FileDescriptor{ends[1]};
  }

  bool is_end_of(const TCPSocket& socket) const
  {
    char got = 0;
    return ::write(other.number(), "x", 1) == 1 && ::read(socket.number(), &got, 1) == 1 && got == 'x';
  }

  TCPSocket warm;
  FileDescriptor other;
};

} // namespace

TEST(WarmQueue, GivesWhatWasPutInFirst)
{
  WarmQueue queue;
  const Pair first;
  const Pair second;
  EXPECT_TRUE(queue.give(first.warm, 1));
  EXPECT_TRUE(queue.give(second.warm, 2));
  const auto ticket = queue.take();
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->serial, 1U);
  EXPECT_TRUE(first.is_end_of(ticket->socket));
  EXPECT_EQ(queue.take()->serial, 2U);
  EXPECT_FALSE(queue.take());
}

TEST(WarmQueue, TakenDescriptorIsOneOfItsOwnThatEndsWithTheProcessImage)
{
  WarmQueue queue;
  Pair pair;
  queue.give(pair.warm, 1);
  const int before = pair.warm.number();
  pair.warm.close();
  const auto ticket = queue.take();
  ASSERT_TRUE(ticket);
  EXPECT_NE(::fcntl(ticket->socket.number(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(pair.is_end_of(ticket->socket)) << before;
}

TEST(WarmQueue, TellsTheKeeperWhatWasTakenAndWhatWasLost)
{
  WarmQueue queue;
  const Pair pair;
  queue.give(pair.warm, 7);
  EXPECT_FALSE(queue.next_notice());
  queue.take();
  queue.report_lost(7);
  const auto taken = queue.next_notice();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->serial, 7U);
  EXPECT_FALSE(taken->lost);
  const auto lost = queue.next_notice();
  ASSERT_TRUE(lost);
  EXPECT_TRUE(lost->lost);
  EXPECT_FALSE(queue.next_notice());
}

TEST(WarmQueue, TakingBackTellsNobodyAndLeavesNothing)
{
  WarmQueue queue;
  const Pair pair;
  queue.give(pair.warm, 1);
  queue.give(pair.warm, 2);
  EXPECT_EQ(queue.take_back().size(), 2U);
  EXPECT_FALSE(queue.take());
  EXPECT_FALSE(queue.next_notice());
}

// Room for a pool of any size, and no waiting if there is none left.
TEST(WarmQueue, HoldsAPoolAndRefusesMore)
{
  WarmQueue queue;
  const Pair pair;
  std::uint64_t given = 0;
  while (given < 100'000 && queue.give(pair.warm, given)) {
    ++given;
  }
  EXPECT_GE(given, 128U);
  EXPECT_LT(given, 100'000U);
  EXPECT_EQ(queue.take_back().size(), given);
}
