#include "manager/reload.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

TEST(Reload, TakesWhatChangesAndKeepsWhatIsFixed)
{
  Config running;
  running.port = 5000;
  auto fresh = running;
  fresh.port = 6000;
  fresh.spare_proxies = 20;
  fresh.verbose = true;
  const auto reload = plan_reload(running, fresh, 8192);
  EXPECT_EQ(reload.config.port, 5000);
  EXPECT_EQ(reload.config.spare_proxies, 20);
  EXPECT_TRUE(reload.config.verbose);
  ASSERT_EQ(reload.warnings.size(), 1);
  EXPECT_EQ(reload.warnings[0], "port takes effect only after a restart");
}

TEST(Reload, WhatNoRestartChangesTakesAStop)
{
  Config fresh;
  fresh.instance = "two";
  fresh.user = "pepsal";
  EXPECT_EQ(plan_reload(Config{}, fresh, 8192).warnings,
            (std::vector<std::string>{"instance takes effect only after a stop and a start",
                                      "user takes effect only after a stop and a start"}));
}

TEST(Reload, InterfacesAreNotTheDaemons)
{
  Config running;
  add_link(running.links, "sat0 rate=50/10 rtt=600 side=gateway");
  EXPECT_TRUE(plan_reload(running, running, 8192).warnings.empty());
  auto fresh = running;
  add_link(fresh.links, "sat0 rate=30/10");
  EXPECT_EQ(plan_reload(running, fresh, 8192).warnings,
            std::vector<std::string>{"link sat0: the interface follows once pepsal-satlink start has run"});
}

TEST(Reload, RulesAreNotTheDaemons)
{
  auto fresh = Config{};
  fresh.intercept = {"lan0"};
  EXPECT_EQ(plan_reload(Config{}, fresh, 8192).warnings,
            std::vector<std::string>{"intercept: the rules follow once pepsal-iptables start has run"});
}

TEST(Reload, NothingChangedSaysNothing)
{
  EXPECT_TRUE(plan_reload(Config{}, Config{}, 8192).warnings.empty());
}

TEST(Reload, TableDoesNotGrow)
{
  Config fresh;
  fresh.max_connections = 101;
  const auto reload = plan_reload(Config{}, fresh, 100);
  EXPECT_EQ(reload.config.max_connections, 100);
  ASSERT_EQ(reload.warnings.size(), 1);
  EXPECT_EQ(reload.warnings[0],
            "max-connections: the daemon has room for the 100 it started with; more need a stop and a start");
  fresh.max_connections = 50;
  EXPECT_EQ(plan_reload(Config{}, fresh, 100).config.max_connections, 50);
}

TEST(Reload, LinkThatIsNewNeedsARestartForWhatArrives)
{
  Config fresh;
  fresh.links.emplace_back().interface = "sat0";
  const auto reload = plan_reload(Config{}, fresh, 8192);
  EXPECT_EQ(reload.config.links.size(), 1);
  ASSERT_EQ(reload.warnings.size(), 2);
  EXPECT_NE(reload.warnings[0].find("link sat0"), std::string::npos);
  EXPECT_NE(reload.warnings[1].find("pepsal-iptables"), std::string::npos); // its connections must be intercepted
}

} // namespace
} // namespace pepsal::test
