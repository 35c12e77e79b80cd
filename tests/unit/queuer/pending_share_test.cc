#include "queuer/pending_share.hh"

#include <array>

#include <gtest/gtest.h>

#include "../shared/owners.hh"

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

class PendingShareTest : public testing::Test
{
protected:
  static Connection connection(std::uint16_t port)
  {
    return {.client = *Endpoint::parse("10.0.0.2", port), .server = *Endpoint::parse("192.0.2.1", 80), .syn = {}};
  }

  // Whether an older entry was displaced.
  bool arrive(std::uint16_t port)
  {
    ConnectionTable::Pending entry;
    EXPECT_NE(table_.insert_pending(connection(port), queuer, 1s, entry), ConnectionTable::Insertion::full);
    return share_.add(entry);
  }

  bool is_pending(std::uint16_t port)
  {
    return table_.claim(connection(port).client, connection(port).server, proxy, 2s).has_value();
  }

  SharedSegment segment_ = SharedSegment::anonymous({.max_connections = 100, .processes = 8});
  ConnectionTable table_{segment_};
  PendingShare share_{table_, 3};
};

TEST_F(PendingShareTest, OldestGoesFirst)
{
  for (const auto port : std::to_array<std::uint16_t>({1, 2, 3})) {
    EXPECT_FALSE(arrive(port));
  }
  EXPECT_TRUE(arrive(4));
  EXPECT_EQ(table_.size(), 3);
  EXPECT_FALSE(is_pending(1));
  for (const auto port : std::to_array<std::uint16_t>({2, 3, 4})) {
    EXPECT_TRUE(is_pending(port));
  }
}

TEST_F(PendingShareTest, ConnectionsAreNotTouched)
{
  arrive(1);
  arrive(2);
  EXPECT_TRUE(is_pending(1)); // its connection has come
  arrive(3);
  EXPECT_FALSE(arrive(4)) << "only three wait";
  EXPECT_EQ(table_.size(), 4);
}

TEST_F(PendingShareTest, EntryThatWasRefreshedIsYoungAgain)
{
  arrive(1);
  arrive(2);
  arrive(1);
  EXPECT_FALSE(arrive(3));
  EXPECT_TRUE(arrive(4));
  EXPECT_FALSE(is_pending(2));
  EXPECT_TRUE(is_pending(1));
}

TEST_F(PendingShareTest, NothingIsLeftToDisplace)
{
  arrive(1);
  EXPECT_TRUE(is_pending(1));
  EXPECT_FALSE(share_.displace_oldest());
}

} // namespace
} // namespace pepsal::test
