// The init script and the example configuration, as an administrator installs them.

#include "fixture.hh"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace pepsal::test {

class ServiceTest : public NetworkTest
{
protected:
  static constexpr int lsb_not_running = 3;

  void SetUp() override
  {
    NetworkTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    net().box().must_run({"mount", "-t", "tmpfs", "tmpfs", "/etc/default"});
    settings("--intercept client0");
    before_ = rules_of_the_box();
  }

  void settings(const std::string& rules_options)
  {
    std::ofstream file{net().sandbox().outside("/etc/default/pepsal")};
    file << "DAEMON=" << program_path("pepsal")
         << "\nDAEMON_OPTS='--drain-timeout 5'\nRULES=" << script_path("steering/pepsal-iptables") << "\nRULES_OPTS='"
         << rules_options << "'\n"
         << std::flush;
    ASSERT_TRUE(file);
  }

  Result service(const std::string& action)
  {
    return net().box().start({script_path("system/pepsal.init"), action}, {}, sanitizer_environment()).finish();
  }

  std::string rules_of_the_box()
  {
    std::string all;
    for (const auto* command : {"iptables-save", "ip6tables-save"}) {
      all += net().box().must_run({command});
    }
    for (const auto* family : {"-4", "-6"}) {
      all += net().box().must_run({"ip", family, "rule"});
    }
    return all;
  }

  void expect_as_before()
  {
    EXPECT_EQ(what_is_left(), "");
    EXPECT_EQ(rules_of_the_box(), before_);
  }

private:
  std::string before_;
};

TEST_F(ServiceTest, StartsAndStops)
{
  const auto listener = listen();
  EXPECT_EQ(service("status").status, lsb_not_running);
  auto result = service("start");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  EXPECT_EQ(service("status").status, 0);
  EXPECT_EQ(service("start").status, 0) << "a second time";
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  EXPECT_EQ(service("reload").status, 0);
  EXPECT_EQ(service("restart").status, 0);
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  result = service("stop");
  EXPECT_EQ(result.status, 0) << result.err;
  expect_as_before();
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  EXPECT_EQ(service("stop").status, 0) << "a second time";
  EXPECT_EQ(service("status").status, lsb_not_running);
  expect_as_before();
}

// The rules stay until the daemon has drained.
TEST_F(ServiceTest, StopCompletesConnectionsInHand)
{
  const auto listener = listen();
  ASSERT_EQ(service("start").status, 0);
  const auto [client, server] = connect(listener);
  client.send("begun");
  EXPECT_EQ(server.receive_text(5), "begun");
  auto stop = net().box().start({script_path("system/pepsal.init"), "stop"});
  EXPECT_TRUE(eventually([&] { return path_of_new_connection(listener) == Path::direct; }));
  EXPECT_TRUE(stop.is_running());
  client.send(" and ended");
  client.end_sending();
  EXPECT_EQ(server.receive_all(), " and ended");
  server.send("answered");
  server.end_sending();
  EXPECT_EQ(client.receive_all(), "answered");
  EXPECT_EQ(stop.wait(), 0);
  expect_as_before();
}

TEST_F(ServiceTest, StartThatFailsIsUndone)
{
  settings("--intercept eth77");
  auto result = service("start");
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("'eth77'"), std::string::npos) << result.err;
  expect_as_before();

  settings("--intercept client0");
  {
    const Listener taken{net().box(), Endpoint::parse("::", 5000).value()};
    result = service("start");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.err.find("5000"), std::string::npos) << result.err;
    expect_as_before();
  }
  EXPECT_EQ(service("dance").status, 2);
  expect_as_before();
}

// Everything in the example that has a default, written out.
TEST_F(ServiceTest, ExampleConfigurationIsAccepted)
{
  std::ifstream example{script_path("system/pepsal.conf")};
  ASSERT_TRUE(example) << script_path("system/pepsal.conf");
  std::string settings;
  std::size_t keys = 0;
  for (std::string line; std::getline(example, line);) {
    // A key follows the # directly, prose after a blank.
    if (line.size() > 1 && line[0] == '#' && line[1] != ' ') {
      settings += line.substr(1) + "\n";
      ++keys;
    }
  }
  EXPECT_GT(keys, 30) << settings;
  net().write_file("pepsal.conf", settings);
  net().box().must_run({"ip", "link", "add", "sat0", "type", "veth"});
  net().box().must_run({"ip", "address", "add", "10.9.0.1/24", "dev", "sat0"});
  net().box().must_run({"ip", "link", "set", "sat0", "up"});
  net().write_file("peer.key", std::string(64, 'k'));
  net().box().must_run({"chmod", "600", Topology::inside("peer.key")});
  start_daemon({.arguments = {"--config", Topology::inside("pepsal.conf"), "--address", "::", "--user", "root",
                              "--peer-key", Topology::inside("peer.key")}});
  EXPECT_EQ(daemon().counter("max_connections"), 8192);
}

} // namespace pepsal::test
