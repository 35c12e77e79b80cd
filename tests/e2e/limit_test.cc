// When something runs out: room in the table, processes, descriptors. Established connections continue, new ones
// bypass, and the log says so once.

#include "fixture.hh"

#include <cerrno>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

namespace pepsal::test {

class FullTableTest : public ConnectionTest
{
protected:
  static constexpr std::size_t room = 2;

  DaemonOptions daemon_options() const override { return {.arguments = {"--max-connections", std::to_string(room)}}; }
  // A bypassed connection comes from the client, unless the box masquerades.
  std::string expected_source_of_bypassed() const
  {
    return (GetParam().masquerade ? Topology::box_server_side(family()) : Topology::client_address(family()))
        .address_string();
  }
};

TEST_P(FullTableTest, NewConnectionsPassAndEstablishedOnesGoOn)
{
  const auto listener = listen_here();
  std::vector<Pair> established;
  for (std::size_t i = 0; i < room; ++i) {
    established.push_back(connect(listener));
    established.back().talk();
    EXPECT_EQ(established.back().server.remote().address_string(), expected_source());
  }
  expect_proxied(room);
  constexpr std::size_t bypassed = 5;
  for (std::size_t i = 0; i < bypassed; ++i) {
    EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  }
  const auto one_more = connect(listener);
  one_more.talk();
  EXPECT_EQ(one_more.server.remote().address_string(), expected_source_of_bypassed());
  EXPECT_GE(daemon().counter("verdicts_bypass_full"), bypassed + 1); // more if a SYN was retransmitted
  expect_log_lines("table is full", 1);                              // and one alone, whatever their number
  for (const auto& pair : established) {
    pair.talk();
  }
  // The end of a connection makes room again.
  established.pop_back();
  EXPECT_TRUE(eventually([&] { return daemon().counter("entries") == room - 1; }));
  EXPECT_TRUE(eventually([&] { return path_of_new_connection(listener) == Path::proxied; }));
  one_more.talk();
}

// The kernel on the box still has the previous connection in TIME_WAIT, and would not forward a SYN to its address.
TEST_P(FullTableTest, PortOfAConnectionThatWasProxiedMayBeUsedAgain)
{
  const auto listener = listen_here();
  const auto source = Topology::client_address(family(), 40'001);
  const auto talk_once = [&] {
    const auto client = Connection::connect(net().client(), listener.local(), source);
    const auto server = listener.accept();
    client.send("once more");
    EXPECT_EQ(server.receive_text(9), "once more");
    server.end_sending(); // first, so that the box is in TIME_WAIT and not the client
    EXPECT_EQ(client.receive_all(), "");
    client.end_sending();
    EXPECT_EQ(server.receive_all(), "");
  };
  talk_once();
  EXPECT_TRUE(eventually([&] { return daemon().counter("entries") == 0; }));
  std::vector<Pair> established;
  for (std::size_t i = 0; i < room; ++i) {
    established.push_back(connect(listener));
    established.back().talk();
  }
  talk_once();
  EXPECT_GE(daemon().counter("verdicts_bypass_full"), 1);
}

INSTANTIATE_TEST_SUITE_P(Proxied, FullTableTest, testing::ValuesIn(proxied_modes_and_masquerade()), arrangement_name);

// A client that opens as many as it can never keeps another from being accelerated.
class ClientLimitTest : public ConnectionTest
{
protected:
  static constexpr std::size_t room = 3;

  DaemonOptions daemon_options() const override
  {
    return {.arguments = {"--max-connections", "100", "--max-connections-per-client", std::to_string(room)}};
  }

  // The client's host has many addresses; for IPv6, in another /64.
  Endpoint address_of_another_client()
  {
    const std::string address = family() == Family::ipv4 ? "10.77.9.9" : "fd00:77:9::9";
    const auto* version = family() == Family::ipv4 ? "-4" : "-6";
    const auto gateway = Topology::client_address(family()).address_string();
    const auto length = family() == Family::ipv4 ? "/32" : "/128";
    std::vector<std::string> add{"ip", version, "address", "add", address + length, "dev", "lo"};
    if (family() == Family::ipv6) {
      add.emplace_back("nodad"); // or the address could not be bound for a moment
    }
    net().client().must_run(add);
    net().box().must_run({"ip", version, "route", "add", address + length, "via", gateway});
    net().server().must_run({"ip", version, "route", "replace", address + length, "via",
                             Topology::box_server_side(family()).address_string()});
    return *Endpoint::parse(address, 0);
  }
};

TEST_P(ClientLimitTest, OneThatOpensAllItCanKeepsNobodyElseOut)
{
  const auto listener = listen_here();
  std::vector<Pair> held;
  for (std::size_t i = 0; i < room; ++i) {
    held.push_back(connect(listener));
    held.back().talk();
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  }
  EXPECT_GE(daemon().counter("verdicts_bypass_client"), 5);
  expect_log_lines("has reached its limit of connections", 1);
  const auto before = daemon().counter("connections_accepted");
  const auto other = Connection::connect(net().client(), listener.local(), address_of_another_client());
  const auto server = listener.accept();
  other.send("hello");
  EXPECT_EQ(server.receive_text(5), "hello");
  EXPECT_EQ(daemon().counter("connections_accepted"), before + 1);
  held.pop_back();
  EXPECT_TRUE(eventually([&] { return path_of_new_connection(listener) == Path::proxied; })) << "an end makes room";
}

INSTANTIATE_TEST_SUITE_P(Proxied, ClientLimitTest, testing::ValuesIn(proxied_modes()), arrangement_name);

// The limit of the daemon's own user, so that no other process is affected. No other user has its id.
class NoProcessesTest : public NetworkTest
{
protected:
  static constexpr const char* user = "pepsaltest";
  // Manager, queuer and idle proxies of two threads each take 18 of them.
  static constexpr int tasks = 34;

  void make_user()
  {
    net().write_file("passwd",
                     fmt::format("root:x:0:0:root:/root:/bin/sh\n{}:x:{}:{}::/:/bin/false\n", user, id_, id_));
    net().box().must_run({"mount", "--bind", Topology::inside("passwd"), "/etc/passwd"});
  }

  const int id_ = 20'000 + ::getpid() % 40'000;
};

TEST_F(NoProcessesTest, NewConnectionsPassAndEstablishedOnesGoOn)
{
  make_user();
  // The daemon respects the limit that it finds, so other processes of the same user take what is left of it.
  constexpr int others = 60;
  std::vector<ChildProcess> sleepers;
  for (int i = 0; i < others; ++i) {
    sleepers.push_back(
        net().box().start({"setpriv", fmt::format("--reuid={}", id_), "--clear-groups", "sleep", "600"}));
  }
  const auto limit = fmt::format("--nproc={0}:{0}", tasks + others);
  start_daemon({.arguments = {"--user", user}, .prefix = {"prlimit", limit, "--"}});
  start_rules(net(), Mode::tproxy);
  const auto listener = listen();
  std::vector<Pair> established;
  constexpr std::size_t many = tasks;
  const auto accepted = [&] { return net().box().snmp("Tcp", "PassiveOpens"); };
  for (auto before = accepted(); established.size() < many; before = accepted()) {
    established.push_back(connect(listener));
    established.back().talk();
    if (accepted() == before) {
      break; // it bypassed the daemon
    }
  }
  EXPECT_GT(established.size(), 2);
  EXPECT_LT(established.size(), many);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  }
  const auto counters = daemon().counters();
  EXPECT_EQ(counters.at("overloaded"), 1);
  EXPECT_GT(counters.at("forks_failed"), 0);
  EXPECT_GE(counters.at("verdicts_bypass_overloaded"), 11);
  expect_log_lines("new connections bypass the proxy", 1); // and one alone, whatever their number
  for (const auto& pair : established) {
    pair.talk();
  }
  established.clear();
  EXPECT_TRUE(eventually([&] { return path_of_new_connection(listener) == Path::proxied; }));
}

TEST_F(NoProcessesTest, LimitOfTheUserItWillBeIsKnownAtTheStart)
{
  make_user();
  start_daemon({.arguments = {"--user", user}, .prefix = {"prlimit", fmt::format("--nproc={0}:{0}", tasks), "--"}});
  const auto line = daemon().log_line("RLIMIT_NPROC 34 allows");
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(daemon().counter("max_connections"), (tasks - 8) / 2) << *line;
}

// So few that a proxy has none for its pipes: it copies without them.
TEST_F(NetworkTest, FewDescriptorsAreEnough)
{
  constexpr std::size_t bytes = 5'000'000;
  start_daemon({.prefix = {"prlimit", "--nofile=18:18", "--"}});
  EXPECT_TRUE(daemon().log_line("(18 descriptors in each process)").has_value());
  start_rules(net(), Mode::tproxy);
  const auto listener = listen();
  for (int round = 0; round < 3; ++round) {
    const auto [client, server] = connect(listener);
    auto sending = in_background([&client = client] { client.send_stream(1, bytes), client.end_sending(); });
    auto sending_back = in_background([&server = server] { server.send_stream(2, bytes), server.end_sending(); });
    auto received = in_background([&client = client] { return client.receive_stream(2); });
    EXPECT_EQ(server.receive_stream(1), bytes);
    EXPECT_EQ(received.get(), bytes);
    sending.get();
    sending_back.get();
  }
  EXPECT_TRUE(eventually([&] { return daemon().counter("connections_closed") == 3; }));
}

} // namespace pepsal::test
