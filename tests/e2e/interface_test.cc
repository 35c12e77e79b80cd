// Interfaces that disappear and come back, as a modem's does when it restarts.

#include "fixture.hh"

#include <algorithm>

namespace pepsal::test {

class InterfaceTest : public NetworkTest, public testing::WithParamInterface<std::string>
{
protected:
  void add_link() { net().box().must_run({"ip", "link", "add", "sat9", "type", "veth", "peer", "name", "sat9p"}); }

  // Listening sockets bound to the current index of sat9, as ss(8) shows them.
  long listeners()
  {
    const auto text = net().box().must_run({"ss", "-ltnH"});
    long found = 0;
    for (auto at = text.find("%sat9:"); at != std::string::npos; at = text.find("%sat9:", at + 1)) {
      ++found;
    }
    return found;
  }
};

TEST_P(InterfaceTest, OneMadeAnewIsServedAgain)
{
  add_link();
  std::vector<std::string> arguments{"--link", "sat9"};
  if (!GetParam().empty()) {
    arguments.insert(arguments.end(), {"--user", GetParam()});
  }
  start_daemon({.arguments = arguments});
  EXPECT_EQ(listeners(), 1);
  for (int i = 0; i < 2; ++i) {
    net().box().must_run({"ip", "link", "delete", "sat9"});
    EXPECT_EQ(listeners(), 0) << "the control: a socket stays bound to the number that has gone";
    add_link();
    EXPECT_TRUE(eventually([&] { return listeners() == 1; })) << daemon().log();
  }
  expect_log_lines("interface sat9 is back", 2);
  EXPECT_TRUE(eventually([&] { return daemon().counter("idle") >= 16; })) << "idle proxies at both listeners";
}

// The port is only shared with sockets of the same user.
INSTANTIATE_TEST_SUITE_P(Users, InterfaceTest, testing::Values("", "nobody"),
                         [](const auto& user) { return user.param.empty() ? "Root" : "Nobody"; });

class ConnectionsAndInterfacesTest : public NetworkTest
{};

// What arrived at the interface's listener is bound to no interface; otherwise it would receive nothing from now on.
TEST_F(ConnectionsAndInterfacesTest, OutliveOne)
{
  start_daemon({.arguments = {"--link", "client0"}});
  start_rules(net(), Mode::tproxy);
  for (const auto family : {Family::ipv4, Family::ipv6}) {
    const auto listener = listen(family);
    const auto pair = connect(listener);
    pair.talk();
    net().remake_client_interface();
    pair.talk();
  }
  EXPECT_EQ(daemon().counter("connections_accepted"), 2);
}

} // namespace pepsal::test
