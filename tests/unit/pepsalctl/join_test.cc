#include "pepsalctl/join.hh"

#include <gtest/gtest.h>

namespace pepsal {

namespace {

constexpr std::int32_t proxy = 77;

Endpoint at(const char* address, std::uint16_t port)
{
  return Endpoint::parse(address, port).value();
}

SocketFacts socket(const Endpoint& local, const Endpoint& remote, std::uint32_t inode)
{
  SocketFacts result;
  result.local = local;
  result.remote = remote;
  result.inode = inode;
  return result;
}

struct JoinTest : testing::Test
{
  const Endpoint client = at("10.1.0.2", 4000);
  const Endpoint server = at("10.2.0.2", 80);
  const TableEntry entry{.state = SlotState::open,
                         .owner = 1,
                         .since = {},
                         .connection = {.client = client, .server = server, .syn = {}},
                         .bytes_up = 0,
                         .bytes_down = 0};

  static std::vector<std::uint32_t> nobody(std::int32_t) { return {}; }
  static std::vector<std::uint32_t> both(std::int32_t pid)
  {
    EXPECT_EQ(pid, proxy);
    return {5, 6, 7};
  }
};

TEST_F(JoinTest, AddressesTellBothLegsApart)
{
  const std::vector sockets{socket(client, server, 5), socket(server, client, 6)};
  const auto legs = Join{sockets, nobody}.legs_of(entry, proxy);
  ASSERT_TRUE(legs.client && legs.server);
  EXPECT_EQ(legs.client->inode, 6U);
  EXPECT_EQ(legs.server->inode, 5U);
}

TEST_F(JoinTest, RedirectedOnesAreFoundByTheProxysSockets)
{
  const std::vector sockets{socket(at("10.2.0.1", 3333), server, 5), socket(at("10.1.0.1", 5000), client, 6),
                            socket(at("10.2.0.1", 3334), server, 8)};
  const auto legs = Join{sockets, both}.legs_of(entry, proxy);
  ASSERT_TRUE(legs.client && legs.server);
  EXPECT_EQ(legs.client->inode, 6U);
  EXPECT_EQ(legs.server->inode, 5U);
}

TEST_F(JoinTest, AWarmConnectionIsTheServerLegOfTheNearBox)
{
  const std::vector sockets{socket(at("10.9.0.1", 3333), at("10.9.0.2", 5001), 5), socket(server, client, 6)};
  const auto legs = Join{sockets, both}.legs_of(entry, proxy);
  ASSERT_TRUE(legs.client && legs.server);
  EXPECT_EQ(legs.server->remote, at("10.9.0.2", 5001));
}

TEST_F(JoinTest, AWarmConnectionIsTheClientLegOfTheFarBox)
{
  const std::vector sockets{socket(at("10.9.0.2", 5001), at("10.9.0.1", 3333), 5), socket(client, server, 6)};
  const auto legs = Join{sockets, both}.legs_of(entry, proxy);
  ASSERT_TRUE(legs.client && legs.server);
  EXPECT_EQ(legs.client->remote, at("10.9.0.1", 3333));
}

TEST_F(JoinTest, WhatIsNotThereIsNothing)
{
  const std::vector sockets{socket(at("10.1.0.3", 4000), server, 0)};
  const auto legs = Join{sockets, nobody}.legs_of(entry, proxy);
  EXPECT_FALSE(legs.client);
  EXPECT_FALSE(legs.server);
}

} // namespace

} // namespace pepsal
