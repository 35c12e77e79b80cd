#include "queuer/census.hh"

#include <gtest/gtest.h>

#include "../shared/owners.hh"
#include "queuer/half_open.hh"

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

class CensusTest : public testing::Test
{
protected:
  void open(const char* client, std::uint16_t port)
  {
    const Connection connection{
        .client = *Endpoint::parse(client, port), .server = *Endpoint::parse("192.0.2.1", 80), .syn = {}};
    ASSERT_EQ(table_.insert_pending(connection, queuer, 1s), ConnectionTable::Insertion::inserted);
  }

  bool has_room(const char* client, std::uint32_t most)
  {
    return census_.has_room(*Endpoint::parse(client, 1), most, now_);
  }

  SharedSegment segment_ = SharedSegment::anonymous({.max_connections = 100, .processes = 8});
  ConnectionTable table_{segment_};
  ClientCensus census_{table_};
  ClientCensus::Time now_{1h};
};

TEST_F(CensusTest, CountsAddressesOfIPv4AndHalvesOfIPv6)
{
  open("10.0.0.2", 1);
  open("10.0.0.2", 2);
  open("10.0.0.3", 1);
  open("2001:db8:0:1::1", 1);
  open("2001:db8:0:1::2", 1);
  open("2001:db8:0:2::1", 1);
  for (const auto* two : {"10.0.0.2", "2001:db8:0:1::77"}) {
    EXPECT_FALSE(has_room(two, 2)) << two;
    EXPECT_TRUE(has_room(two, 3)) << two;
  }
  for (const auto* one : {"10.0.0.3", "2001:db8:0:2::77"}) {
    EXPECT_FALSE(has_room(one, 1)) << one;
    EXPECT_TRUE(has_room(one, 2)) << one;
  }
  EXPECT_TRUE(has_room("10.0.0.4", 1)) << "a client that has none";
}

TEST_F(CensusTest, OwnEntriesCountAtOnceAndOthersWithTheNextWalk)
{
  EXPECT_TRUE(has_room("10.0.0.2", 1));
  open("10.0.0.2", 1); // by another queuer
  EXPECT_TRUE(has_room("10.0.0.2", 1));
  census_.add(*Endpoint::parse("10.0.0.2", 1));
  EXPECT_FALSE(has_room("10.0.0.2", 1));
  now_ += ClientCensus::longest_age;
  EXPECT_FALSE(has_room("10.0.0.2", 1)) << "counted";
  EXPECT_TRUE(has_room("10.0.0.2", 2)) << "but once";
}

TEST_F(CensusTest, WhoIsToBeKeptOutIsCountedAgainFirst)
{
  EXPECT_TRUE(has_room("10.0.0.2", 1));
  census_.add(*Endpoint::parse("10.0.0.2", 1)); // it ended soon
  EXPECT_FALSE(has_room("10.0.0.2", 1)) << "counted just now";
  now_ += ClientCensus::shortest_age;
  EXPECT_TRUE(has_room("10.0.0.2", 1));
}

TEST_F(CensusTest, WhoCompletesNoHandshakeLeavesRoomForOthers)
{
  const auto one = *Endpoint::parse("10.0.0.2", 1);
  const auto other = *Endpoint::parse("10.0.0.3", 1);
  open("10.0.0.2", 1);
  EXPECT_TRUE(census_.has_room_to_wait(one, now_));
  for (std::uint32_t waiting = 1; waiting < ClientCensus::most_waiting; ++waiting) {
    EXPECT_TRUE(census_.has_room_to_wait(one, now_));
    census_.add(one);
  }
  EXPECT_FALSE(census_.has_room_to_wait(one, now_));
  EXPECT_TRUE(census_.has_room_to_wait(other, now_));
  now_ += ClientCensus::shortest_age;
  EXPECT_TRUE(census_.has_room_to_wait(one, now_)) << "they have gone";
  EXPECT_LE(2 * ClientCensus::most_waiting, HalfOpen::most);
}

TEST_F(CensusTest, ConnectionsDoNotWait)
{
  open("10.0.0.2", 1);
  ASSERT_TRUE(table_.claim(*Endpoint::parse("10.0.0.2", 1), *Endpoint::parse("192.0.2.1", 80), proxy, 1s));
  for (std::uint32_t waiting = 1; waiting < ClientCensus::most_waiting; ++waiting) {
    census_.has_room_to_wait(*Endpoint::parse("10.0.0.2", 1), now_);
    census_.add(*Endpoint::parse("10.0.0.2", 1));
  }
  EXPECT_TRUE(census_.has_room_to_wait(*Endpoint::parse("10.0.0.2", 1), now_)) << "the one that was claimed counts not";
}

TEST_F(CensusTest, TellsOfEachClientOnceAMinute)
{
  const auto one = *Endpoint::parse("10.0.0.2", 1);
  const auto other = *Endpoint::parse("10.0.0.3", 1);
  EXPECT_TRUE(census_.is_news(one, now_));
  EXPECT_FALSE(census_.is_news(one, now_ + 59s));
  EXPECT_TRUE(census_.is_news(other, now_ + 59s));
  EXPECT_TRUE(census_.is_news(one, now_ + 60s));
}

} // namespace
} // namespace pepsal::test
