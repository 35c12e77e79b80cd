// Programs that take the place of others, told to or after a crash: no connection is lost.

#include "commands.hh"
#include "transfers.hh"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

#include <fmt/format.h>

namespace pepsal::test {

class RestartTest : public CommandTest
{
protected:
  std::vector<Pair> connect_many(const Listener& listener, std::size_t number)
  {
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < number; ++i) {
      pairs.push_back(connect(listener));
    }
    return pairs;
  }

  // Restarts, and waits until the new program has answered.
  std::string restart()
  {
    const auto result = command({"restart"});
    EXPECT_EQ(result.status, 0) << result.err << daemon().log();
    return result.out;
  }

  void write_file(const std::string& text) { std::ofstream{net().sandbox().outside(file_)} << text << std::flush; }

  // A daemon with a configuration file that the test may rewrite, in place of the test's own.
  void start_with_file(const std::string& text)
  {
    net().box().must_run({"mount", "-t", "tmpfs", "tmpfs", "/etc/default"});
    write_file(text);
    EXPECT_EQ(daemon().stop(), 0);
    start_daemon({.arguments = {"--config", file_}});
  }

  // Programs in their own folder, which the test may replace as an installation does; returns the folder as seen from
  // outside.
  std::string install()
  {
    auto folder = net().sandbox().outside("/etc/default");
    net().box().must_run({"mount", "-t", "tmpfs", "tmpfs", "/etc/default"});
    for (const auto* name : {"pepsal", "pepsal-queuer"}) {
      std::filesystem::copy_file(program_path(name), folder + "/" + name);
    }
    return folder;
  }

  // The daemon from there, in place of the test's own.
  ChildProcess start_installed()
  {
    EXPECT_EQ(daemon().stop(), 0);
    auto installed = net().box().start({"/etc/default/pepsal", "--drain-timeout", "1"}, {}, sanitizer_environment());
    EXPECT_TRUE(eventually([&] { return installed.err().find("ready: ") != std::string::npos; })) << installed.err();
    return installed;
  }

  const std::string file_{"/etc/default/pepsal.conf"};
};

TEST_F(RestartTest, NeitherRestartsNorALostManagerEndAConnection)
{
  constexpr std::ptrdiff_t number = 200;
  const auto listener = listen();
  Transfers transfers{connect_many(listener, number)};
  ASSERT_TRUE(transfers.all_go_on());
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(restart().find("200 connections go on"), std::string::npos);
    EXPECT_TRUE(transfers.all_go_on());
    EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  }
  const auto list = daemon().control("list");
  EXPECT_GE(std::ranges::count(list, '\n'), number) << list;
  daemon().signal(SIGKILL);
  daemon().process().wait();
  EXPECT_TRUE(transfers.all_go_on());
  start_daemon();
  EXPECT_TRUE(daemon().log_line("200 connections of a daemon that was killed are taken over"));
  EXPECT_GE(daemon().counter("busy"), static_cast<std::uint64_t>(number));
  EXPECT_TRUE(transfers.all_go_on());
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  EXPECT_EQ(transfers.end(), 0U);
  EXPECT_TRUE(eventually([&] { return daemon().counter("busy") == 0; })) << daemon().control("list");
}

// As in the unit for `systemctl restart`: two programs, one after the other.
TEST_F(RestartTest, OneThatGivesWayEndsNoConnection)
{
  const auto listener = listen();
  Transfers transfers{connect_many(listener, 20)};
  ASSERT_TRUE(transfers.all_go_on());
  daemon().signal(SIGQUIT);
  EXPECT_EQ(daemon().process().wait(), 0);
  EXPECT_TRUE(daemon().log_line("giving way to the next start: 20 connections go on"));
  EXPECT_TRUE(transfers.all_go_on());
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  start_daemon();
  EXPECT_TRUE(daemon().log_line("20 connections of the previous daemon are taken over"));
  EXPECT_EQ(daemon().counter("leaving"), 0);
  EXPECT_GE(daemon().counter("busy"), 20U);
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  EXPECT_EQ(transfers.end(), 0U);
  EXPECT_TRUE(eventually([&] { return daemon().counter("busy") == 0; })) << daemon().control("list");
}

TEST_F(RestartTest, RestartedConnectionsAreCountedDrainedAndCut)
{
  const auto listener = listen();
  auto first = connect(listener);
  auto second = connect(listener);
  first.talk();
  restart();
  first.talk();
  EXPECT_EQ(daemon().counter("busy"), 2);
  first.client.close();
  EXPECT_EQ(end_of(first.server), 0);
  first.server.close();
  EXPECT_TRUE(eventually([&] { return daemon().counter("busy") == 1; })) << daemon().control("list");
  EXPECT_EQ(command({"drain"}).status, 0);
  EXPECT_TRUE(daemon().log_line("draining: 1 connections"));
  daemon().signal(SIGTERM); // again: at once
  EXPECT_EQ(daemon().process().wait(), 0);
  EXPECT_EQ(end_of(second.client), ECONNRESET);
  EXPECT_EQ(end_of(second.server), ECONNRESET);
}

TEST_F(RestartTest, ConnectionsOfAKilledManagerAreListedKilledAndCut)
{
  const auto listener = listen();
  auto first = connect(listener);
  auto second = connect(listener);
  auto third = connect(listener);
  first.talk();
  daemon().signal(SIGKILL);
  daemon().process().wait();
  start_daemon();
  EXPECT_EQ(daemon().counter("busy"), 3);
  EXPECT_NE(daemon().control("list").find(first.client.local().to_string()), std::string::npos);
  restart(); // and the next program knows them, too
  EXPECT_EQ(daemon().counter("busy"), 3);
  first.talk();
  first.client.close();
  EXPECT_EQ(end_of(first.server), 0);
  first.server.close();
  EXPECT_TRUE(eventually([&] { return daemon().counter("busy") == 2; })) << daemon().control("list");
  EXPECT_EQ(command({"kill", second.client.local().to_string()}).status, 0);
  EXPECT_EQ(end_of(second.client), ECONNRESET);
  EXPECT_TRUE(eventually([&] { return daemon().counter("busy") == 1; })) << daemon().control("list");
  third.talk();
  EXPECT_EQ(command({"drain"}).status, 0);
  EXPECT_TRUE(daemon().log_line("draining: 1 connections"));
  daemon().signal(SIGTERM); // again: at once
  EXPECT_EQ(daemon().process().wait(), 0);
  EXPECT_EQ(end_of(third.client), ECONNRESET);
}

TEST_F(RestartTest, AnotherVersionTakesThePlaceOfThisOne)
{
  const auto folder = install();
  auto installed = start_installed();
  const auto listener = listen();
  Transfers transfers{connect_many(listener, 200)};
  ASSERT_TRUE(transfers.all_go_on());

  std::filesystem::copy_file(program_path("pepsal-next"), folder + "/next");
  std::filesystem::rename(folder + "/next", folder + "/pepsal");
  const auto result = command({"restart"});
  EXPECT_NE(result.out.find("restarted as version 99.0.0"), std::string::npos) << result.out << result.err;
  EXPECT_TRUE(transfers.all_go_on());
  EXPECT_EQ(transfers.end(), 0U);
  installed.signal(SIGTERM);
  EXPECT_EQ(installed.wait(), 0);
}

// As if the kernel kept killing it for lack of memory.
TEST_F(RestartTest, QueuerThatEndsAtItsStartIsTriedOnceASecond)
{
  const auto folder = install();
  auto installed = start_installed();
  const auto counted = [&](const std::string& text) {
    const auto log = installed.err();
    std::size_t found = 0;
    for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) {
      ++found;
    }
    return found;
  };
  const auto queuers = [&] {
    return std::ranges::count_if(net().processes(),
                                 [](const auto& process) { return process.title.starts_with("pepsal: queuer"); });
  };

  std::filesystem::rename(folder + "/pepsal-queuer", folder + "/kept");
  std::ofstream{folder + "/pepsal-queuer"} << "#!/bin/sh\necho try >>/etc/default/tries\n" << std::flush;
  std::filesystem::permissions(folder + "/pepsal-queuer", std::filesystem::perms::owner_all);
  for (const auto& process : net().processes()) {
    if (process.title.starts_with("pepsal: queuer")) {
      ::kill(process.pid, SIGKILL);
    }
  }
  const auto tries = [&] {
    std::error_code none_yet;
    const auto bytes = std::filesystem::file_size(folder + "/tries", none_yet);
    return none_yet ? 0 : bytes / 4;
  };
  EXPECT_TRUE(eventually([&] { return tries() >= 5; }));
  EXPECT_EQ(counted("queuer of queue 0 was lost"), 1U) << installed.err();
  EXPECT_EQ(counted("trying again"), 1U) << installed.err();
  std::filesystem::rename(folder + "/kept", folder + "/pepsal-queuer");
  EXPECT_TRUE(eventually([&] { return counted("queuer of queue 0 restarted") == 1; })) << installed.err();
  EXPECT_EQ(queuers(), 1);
  const auto listener = listen();
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  installed.signal(SIGTERM);
  EXPECT_EQ(installed.wait(), 0);
}

TEST_F(RestartTest, AProgramThatWouldNotStartIsNotExecuted)
{
  start_with_file("spare-proxies = 4\n");
  const auto listener = listen();
  auto pair = connect(listener);
  write_file("spare-proxies = many\n");
  const auto refused = command({"restart"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("not restarted: "), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("spare-proxies"), std::string::npos) << refused.err;
  EXPECT_EQ(command({"reload"}).status, 1);
  for (const std::string text : {"user = nosuchuser\n", "link = client0\npeer = 203.0.113.1\n"}) {
    write_file(text);
    const auto lacking = command({"restart"});
    EXPECT_EQ(lacking.status, 1) << text;
    EXPECT_NE(lacking.err.find("not restarted: lacking, which prevents a start"), std::string::npos) << lacking.err;
  }
  {
    const Listener other{net().box(), Endpoint::parse("::", 5100).value()};
    write_file("port = 5100\n");
    const auto taken = command({"restart"});
    EXPECT_EQ(taken.status, 1);
    EXPECT_NE(taken.err.find("not restarted: "), std::string::npos) << taken.err;
    EXPECT_NE(taken.err.find("5100"), std::string::npos) << taken.err;
  }
  pair.talk();
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
}

// It has dropped the privileges that it would need.
TEST_F(RestartTest, AnotherUserTakesAStopAndAStart)
{
  start_with_file("user = nobody\n");
  const auto listener = listen();
  const auto pair = connect(listener);
  write_file("user = daemon\n");
  EXPECT_NE(command({"reload"}).out.find("user takes effect only after a stop and a start"), std::string::npos);
  restart();
  EXPECT_TRUE(daemon().log_line("user takes effect only after a stop and a start"));
  pair.talk();
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
}

} // namespace pepsal::test
