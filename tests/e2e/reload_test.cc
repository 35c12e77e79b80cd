// A configuration that is read again: what it changes, and what it does not.

#include "start.hh"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <sstream>

namespace pepsal::test {

TEST_F(StartTest, ReloadCountsForNewConnections)
{
  const auto listener = listen();
  net().write_file("pepsal.conf", "source=preserve\n");
  start_daemon({.arguments = {"--config", Topology::inside("pepsal.conf")}});
  start_rules(net(), Mode::tproxy);
  const auto before = connect(listener);
  EXPECT_EQ(before.server.remote().address_string(), Topology::client_address(Family::ipv4).address_string());

  net().write_file("pepsal.conf", "source=own\n");
  reload();
  EXPECT_EQ(connect(listener).server.remote().address_string(),
            Topology::box_server_side(Family::ipv4).address_string());
  before.talk();

  net().write_file("pepsal.conf", "source=mine\n");
  daemon().signal(SIGHUP);
  const auto refused = daemon().log_line("configuration not reloaded");
  ASSERT_TRUE(refused.has_value());
  EXPECT_NE(refused->find("'mine'"), std::string::npos) << *refused;
  EXPECT_EQ(connect(listener).server.remote().address_string(),
            Topology::box_server_side(Family::ipv4).address_string());
  before.talk();
}

TEST_F(StartTest, ReloadNamesTheOneOptionThatTakesARestart)
{
  net().write_file("pepsal.conf", "port=5000\n");
  start_daemon({.arguments = {"--config", Topology::inside("pepsal.conf")}});
  net().write_file("pepsal.conf", "port=5001\nverbose=true\n");
  reload();
  const auto warning = daemon().log_line("only after a restart");
  ASSERT_TRUE(warning.has_value());
  EXPECT_TRUE(warning->ends_with("port takes effect only after a restart")) << *warning;
}

// As if it had never been configured: on the listeners, from which accepted connections inherit, and on dials.
TEST_F(StartTest, ReloadTakesBackWhatTheFileNoLongerSays)
{
  const auto by_default = net().box().must_run({"sysctl", "-n", "net.ipv4.tcp_congestion_control"});
  const std::string other = by_default.starts_with("reno") ? "cubic" : "reno";
  const auto legs_with_the_other = [&] {
    std::istringstream words{net().box().must_run({"ss", "-tinH", "state", "established"})};
    return std::count(std::istream_iterator<std::string>{words}, {}, other);
  };
  const auto listener = listen();
  net().write_file("pepsal.conf", "congestion=" + other + "\n");
  start_daemon({.arguments = {"--config", Topology::inside("pepsal.conf")}});
  start_rules(net(), Mode::tproxy);
  const auto before = connect(listener);
  before.talk();
  EXPECT_EQ(legs_with_the_other(), 2);

  net().write_file("pepsal.conf", "max-connections=100000\n");
  reload();
  EXPECT_TRUE(daemon().log_line("more need a stop and a start").has_value());
  const auto after = connect(listener);
  after.talk();
  EXPECT_EQ(legs_with_the_other(), 2);
}

} // namespace pepsal::test
