#include "queuer/decision.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

Connection to(const char* server, Unsplittable unsplittable = Unsplittable::nothing)
{
  Connection connection{
      .client = Endpoint::parse("192.0.2.1", 40000).value(), .server = Endpoint::parse(server, 80).value(), .syn = {}};
  connection.syn.unsplittable = unsplittable;
  return connection;
}

TEST(Decision, OrdinarySynsAreIntercepted)
{
  EXPECT_EQ(decide(to("198.51.100.1"), false, false), Decision::intercept);
  EXPECT_EQ(decide(to("2001:db8::1"), false, false), Decision::intercept);
}

TEST(Decision, NothingNewIsTakenWhileTheDaemonEndsOrHasNoProcesses)
{
  EXPECT_EQ(decide(to("198.51.100.1"), true, false), Decision::bypass_draining);
  EXPECT_EQ(decide(to("198.51.100.1"), true, true), Decision::bypass_draining);
  EXPECT_EQ(decide(to("198.51.100.1"), false, true), Decision::bypass_overloaded);
}

TEST(Decision, WhatCannotBeSplitBypassesForItsOwnReason)
{
  EXPECT_EQ(decide(to("198.51.100.1", Unsplittable::authentication), true, true), Decision::bypass_authentication);
  EXPECT_EQ(decide(to("198.51.100.1", Unsplittable::joining), false, false), Decision::bypass_joining);
  EXPECT_EQ(decide(to("127.0.0.1"), false, false), Decision::bypass_destination);
  EXPECT_EQ(decide(to("fe80::1"), false, false), Decision::bypass_destination);
}

TEST(Decision, EachHasACounterOfItsOwn)
{
  const auto decisions = {Decision::intercept,          Decision::bypass_full,           Decision::bypass_crossing,
                          Decision::bypass_draining,    Decision::bypass_overloaded,     Decision::bypass_client,
                          Decision::bypass_destination, Decision::bypass_authentication, Decision::bypass_joining};
  for (const auto one : decisions) {
    for (const auto other : decisions) {
      EXPECT_EQ(counter_of(one) == counter_of(other), one == other);
    }
  }
}

} // namespace
} // namespace pepsal::test
