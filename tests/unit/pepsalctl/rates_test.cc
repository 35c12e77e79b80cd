#include "pepsalctl/rates.hh"

#include <gtest/gtest.h>

namespace pepsal {

namespace {

using namespace std::chrono_literals;

ShownConnection connection(std::uint32_t slot, std::int64_t since, std::uint64_t up, std::uint64_t down)
{
  ShownConnection result;
  result.entry.slot = slot;
  result.entry.since = BootTime{since};
  result.entry.bytes_up = up;
  result.entry.bytes_down = down;
  return result;
}

TEST(Rates, AreBytesASecondSinceTheLookBefore)
{
  const Rates::Clock::time_point start{100s};
  Rates rates;
  auto look =
      rates.next({connection(1, 7, 1000, 5000)}, {{.interface = "sat0", .kind = "htb", .sent_bytes = 100}}, start);
  EXPECT_EQ(look.connections.at(0).up, 0) << "nothing is known of before";
  EXPECT_EQ(look.links.at(0).sent, 0);
  look =
      rates.next({connection(1, 7, 1200, 9000)}, {{.interface = "sat0", .kind = "htb", .sent_bytes = 700}}, start + 2s);
  EXPECT_DOUBLE_EQ(look.connections.at(0).up, 100);
  EXPECT_DOUBLE_EQ(look.connections.at(0).down, 2000);
  EXPECT_DOUBLE_EQ(look.links.at(0).sent, 300);
}

TEST(Rates, ASlotsNextConnectionBeginsAnew)
{
  const Rates::Clock::time_point start{100s};
  Rates rates;
  rates.next({connection(1, 7, 1000, 1000)}, {}, start);
  const auto look = rates.next({connection(1, 8, 5000, 10)}, {}, start + 1s);
  EXPECT_EQ(look.connections.at(0).up, 0);
  EXPECT_EQ(look.connections.at(0).down, 0);
}

TEST(Rates, WhatGoesBackHasNone)
{
  const Rates::Clock::time_point start{100s};
  Rates rates;
  rates.next({connection(1, 7, 1000, 1000)}, {}, start);
  EXPECT_EQ(rates.next({connection(1, 7, 900, 1000)}, {}, start + 1s).connections.at(0).up, 0);
}

} // namespace

} // namespace pepsal
