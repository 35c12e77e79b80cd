#include "shared/connection_table.hh"

#include <gtest/gtest.h>

#include "owners.hh"

using namespace pepsal;
using namespace pepsal::test;
using namespace std::chrono_literals;

namespace {

Connection connection(std::uint16_t client_port, std::uint16_t server_port = 80)
{
  return {.client = *Endpoint::parse("10.0.0.2", client_port),
          .server = *Endpoint::parse("192.0.2.1", server_port),
          .syn = {.mss = 1460}};
}

class ConnectionTableTest : public testing::Test
{
protected:
  SharedSegment segment = SharedSegment::anonymous({.max_connections = 100, .processes = 8});
  ConnectionTable table{segment};
};

} // namespace

TEST_F(ConnectionTableTest, ClaimsWhatWasInserted)
{
  EXPECT_EQ(table.insert_pending(connection(1), queuer, 1s), ConnectionTable::Insertion::inserted);
  const auto claim = table.claim(connection(1).client, connection(1).server, proxy, 2s);
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->connection, connection(1));
  EXPECT_FALSE(table.claim(connection(1).client, connection(1).server, proxy, 2s)) << "claimed twice";
  table.release(*claim);
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(ConnectionTableTest, SearchEndsWhateverIsWrittenIntoTheBuckets)
{
  for (auto& bucket : segment.buckets()) {
    bucket.reach = 0xffffffff; // by a compromised process: four thousand million buckets to look at
  }
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint16_t port = 1; port <= 100; ++port) {
    EXPECT_FALSE(table.claim(connection(port).client, connection(port).server, proxy, 2s));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST_F(ConnectionTableTest, KeepsServersOfOneSourceApart)
{
  table.insert_pending(connection(1, 80), queuer, 1s);
  table.insert_pending(connection(1, 443), queuer, 2s);
  EXPECT_EQ(table.claim(connection(1).client, connection(1, 80).server, proxy, 3s)->connection.server.port, 80);
  EXPECT_EQ(table.claim(connection(1).client, connection(1, 443).server, proxy, 3s)->connection.server.port, 443);
}

TEST_F(ConnectionTableTest, TellsWhoElseServesTheSameEnds)
{
  const auto& [client, server, syn] = connection(1);
  EXPECT_FALSE(table.has(client, server));
  table.insert_pending(connection(1), queuer, 1s);
  EXPECT_TRUE(table.has(client, server));
  EXPECT_FALSE(table.has(server, client)) << "the other way round";
  EXPECT_FALSE(table.is_served_by_another(client, server, proxy)) << "nobody serves it yet";
  const auto claim = table.claim(client, server, proxy, 2s);
  ASSERT_TRUE(claim);
  EXPECT_FALSE(table.is_served_by_another(client, server, proxy));
  EXPECT_TRUE(table.is_served_by_another(client, server, proxy + 1));
  EXPECT_FALSE(table.is_served_by_another(client, connection(1, 443).server, proxy + 1));
  table.release(*claim);
  EXPECT_FALSE(table.is_served_by_another(client, server, proxy + 1));
}

TEST_F(ConnectionTableTest, NotesTheDscpOfEachDirection)
{
  auto marked = connection(1);
  marked.syn.traffic_class = 0xb8 | 1; // EF, ECT(1)
  const auto& [client, server, syn] = marked;
  EXPECT_FALSE(table.note_traffic_class(client, server, 0x88)) << "nobody's packet";
  table.insert_pending(marked, queuer, 1s);
  EXPECT_FALSE(table.note_traffic_class(client, server, 0xb8 | 2)) << "ECN alone has changed";
  EXPECT_TRUE(table.note_traffic_class(server, client, 0x88 | 3));
  const auto claim = table.claim(client, server, proxy, 2s);
  ASSERT_TRUE(claim);
  EXPECT_EQ(table.dscp_up(*claim), 0xb8) << "that of the SYN";
  EXPECT_EQ(table.dscp_down(*claim), 0x88) << "noted before the connection came";
  EXPECT_TRUE(table.note_traffic_class(client, server, 0x48));
  EXPECT_FALSE(table.note_traffic_class(client, server, 0x48));
  EXPECT_FALSE(table.note_traffic_class(client, connection(1, 443).server, 0x20)) << "another server's";
  EXPECT_EQ(table.dscp_up(*claim), 0x48);
  EXPECT_EQ(table.dscp_down(*claim), 0x88);
  table.release(*claim);
  const auto next = table.insert_connecting(connection(1), proxy, 3s);
  ASSERT_TRUE(next);
  EXPECT_EQ(table.dscp_up(*next), 0);
  EXPECT_EQ(table.dscp_down(*next), 0);
}

TEST_F(ConnectionTableTest, RetransmittedSynRefreshes)
{
  table.insert_pending(connection(1), queuer, 1s);
  auto again = connection(1);
  again.syn.mss = 536;
  EXPECT_EQ(table.insert_pending(again, queuer, 50s), ConnectionTable::Insertion::refreshed);
  EXPECT_EQ(table.size(), 1U);
  const auto collected = table.collect(40s, [](Owner) { return true; });
  EXPECT_EQ(collected.expired, 0U);
  EXPECT_EQ(table.claim(again.client, again.server, proxy, 51s)->connection.syn.mss, 536);
}

TEST_F(ConnectionTableTest, IsFullAtItsLimit)
{
  for (std::uint16_t port = 0; port < 100; ++port) {
    ASSERT_EQ(table.insert_pending(connection(port), queuer, 1s), ConnectionTable::Insertion::inserted) << port;
  }
  EXPECT_EQ(table.insert_pending(connection(100), queuer, 1s), ConnectionTable::Insertion::full);
  EXPECT_EQ(table.insert_pending(connection(50), queuer, 1s), ConnectionTable::Insertion::refreshed);
  table.release(*table.claim(connection(7).client, connection(7).server, proxy, 1s));
  EXPECT_EQ(table.insert_pending(connection(100), queuer, 1s), ConnectionTable::Insertion::inserted);
}

TEST_F(ConnectionTableTest, CollectsExpiredAndOrphaned)
{
  table.insert_pending(connection(1), queuer, 1s);
  table.insert_pending(connection(2), queuer, 100s);
  table.insert_pending(connection(3), queuer, 1s);
  auto claim = table.claim(connection(3).client, connection(3).server, proxy, 1s);
  table.set_open(*claim);
  table.bytes_up(*claim) += 10;
  std::vector<ConnectionTable::Entry> lost;
  const auto collected = table.collect(
      50s, [](Owner owner) { return owner != proxy; }, [&](const auto& entry) { lost.push_back(entry); });
  EXPECT_EQ(collected.expired, 1U);
  EXPECT_EQ(collected.recovered, 1U);
  EXPECT_EQ(collected.in_use, 1U);
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].connection, connection(3));
  EXPECT_EQ(lost[0].bytes_up, 10U);
  EXPECT_EQ(lost[0].state, SlotState::open);
  EXPECT_TRUE(table.claim(connection(2).client, connection(2).server, proxy, 101s));
}

TEST_F(ConnectionTableTest, LinesThatComeTooOftenAreHeldBackAndCounted)
{
  EXPECT_EQ(table.may_log(LimitedLine::direct_connection, 100s), 0U);
  EXPECT_FALSE(table.may_log(LimitedLine::direct_connection, 101s));
  EXPECT_FALSE(table.may_log(LimitedLine::direct_connection, 159s));
  EXPECT_EQ(table.may_log(LimitedLine::warm_port_refusal, 102s), 0U) << "another kind";
  EXPECT_EQ(table.may_log(LimitedLine::direct_connection, 160s), 2U);
  EXPECT_EQ(table.may_log(LimitedLine::direct_connection, 220s), 0U);
}

TEST_F(ConnectionTableTest, TakesConnectionsThatNoQueuerNoted)
{
  auto claim = table.insert_connecting(connection(1), proxy, 1s);
  ASSERT_TRUE(claim);
  EXPECT_FALSE(table.claim(connection(1).client, connection(1).server, proxy, 1s)) << "it is not pending";
  table.set_open(*claim);
  table.release(*claim);
  EXPECT_EQ(table.size(), 0U);
}
