// scripts/lab/satlab as its users run it: what it builds, that it leaves nothing behind however it ends, and what it
// says to wrong input. Labs have this process's pid in their names, so that two runs do not collide.

#include "satlab_ground.hh"
#include "support/child_process.hh"
#include "support/eventually.hh"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using std::chrono::milliseconds;

TEST_F(Satlab, BuildsFourHostsAndLeavesNoTrace)
{
  const auto allowed = content("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
  must({"up", fast()});
  for (const auto* address : {"10.81.3.2", "fd00:81:3::2"}) {
    ChildProcess server{command({"exec", "server", "--", "iperf3", "-s", "-1", "--forceflush"})};
    ASSERT_TRUE(
        eventually([&] { return server.out().find("listening") != std::string::npos || !server.is_running(); }));
    const auto sent = satlab({"run", "iperf3", "-c", address, "-n", "1M"});
    EXPECT_EQ(sent.status, 0) << sent.out << sent.err;
  }
  const auto statistics = must({"stats"});
  EXPECT_EQ(statistics.rfind("direction=down ", 0), 0U) << statistics;
  EXPECT_NE(statistics.find("\ndirection=up "), std::string::npos) << statistics;
  const auto carried = statistics.substr(statistics.find(" bytes=", statistics.find("direction=up")) + 7);
  EXPECT_GT(std::strtol(carried.c_str(), nullptr, 10), 1'500'000) << statistics;
  must({"down"});
  expect_no_trace();
  EXPECT_EQ(content("/proc/sys/net/ipv4/tcp_allowed_congestion_control"), allowed);
}

TEST_F(Satlab, EndpointsAreAsTheScenarioSays)
{
  must({"up",
        scenario(
            "DOWN_MBIT=50\nUP_MBIT=50\nRTT_MS=10\nCC=reno\nBOX_CC=cubic\nTCP_RMEM=4096 100000 200000\nMTU=1400\n")});
  const auto read = [&](const char* role, const std::string& path) {
    return must({"exec", role, "cat", "/proc/sys/net/ipv4/" + path});
  };
  for (const auto* role : {"user", "server"}) {
    EXPECT_EQ(read(role, "tcp_congestion_control"), "reno\n");
    EXPECT_EQ(read(role, "tcp_rmem"), "4096\t100000\t200000\n");
    EXPECT_EQ(read(role, "tcp_wmem"), "4096\t16384\t4194304\n");
  }
  for (const auto* role : {"term", "gw"}) {
    EXPECT_EQ(read(role, "tcp_congestion_control"), "cubic\n");
    EXPECT_EQ(read(role, "tcp_rmem"), "4096\t131072\t6291456\n");
    EXPECT_EQ(read(role, "ip_forward"), "1\n");
    EXPECT_EQ(must({"exec", role, "cat", "/sys/class/net/sat0/mtu"}), "1400\n");
    // IFF_NAPI of <linux/if_tun.h>: packets arrive through NAPI, and therefore through GRO.
    EXPECT_EQ(std::strtol(must({"exec", role, "cat", "/sys/class/net/sat0/tun_flags"}).c_str(), nullptr, 16) & 0x10,
              0x10);
  }
  const auto features = must({"exec", "user", "ethtool", "-k", "eth0"});
  EXPECT_NE(features.find("generic-receive-offload: on"), std::string::npos);
  EXPECT_NE(features.find("tcp-segmentation-offload: on"), std::string::npos);
}

TEST_F(Satlab, CubicIsTheEndpointsDefault)
{
  must({"up", fast()});
  EXPECT_EQ(must({"run", "cat", "/proc/sys/net/ipv4/tcp_congestion_control"}), "cubic\n");
}

TEST_F(Satlab, TerrestrialPartMayHaveADelay)
{
  must({"up", scenario("DOWN_MBIT=50\nUP_MBIT=50\nRTT_MS=10\nTERRESTRIAL_RTT_MS=80\n")});
  ChildProcess server{command({"exec", "server", "--", "iperf3", "-s", "-1", "--forceflush"})};
  ASSERT_TRUE(eventually([&] { return server.out().find("listening") != std::string::npos || !server.is_running(); }));
  const auto client = satlab({"run", "iperf3", "-c", "10.81.3.2", "-t", "1", "-J"});
  ASSERT_EQ(client.status, 0) << client.out;
  const auto least = client.out.find("\"min_rtt\":");
  ASSERT_NE(least, std::string::npos);
  EXPECT_GE(std::strtol(client.out.c_str() + least + 10, nullptr, 10), 90'000); // us
  must({"down"});
  expect_no_trace();
}

TEST_F(Satlab, SeveralLabsStandBesideEachOther)
{
  must({"up", fast()});
  auto second = command({"up", fast()});
  second.arguments[2] = lab_ + "b";
  EXPECT_EQ(ChildProcess{second}.finish().status, 0);
  must({"down"});
  second.arguments[3] = "stats";
  second.arguments.resize(4);
  EXPECT_EQ(ChildProcess{second}.finish().status, 0) << "the other lab goes on";
  second.arguments[3] = "down";
  EXPECT_EQ(ChildProcess{second}.finish().status, 0);
  expect_no_trace();
}

TEST_F(Satlab, DownEndsWhatRunsInTheLab)
{
  must({"up", fast()});
  ChildProcess stubborn{command({"run", "sh", "-c", "trap '' TERM; echo here; while :; do sleep 0.1; done"})};
  ASSERT_TRUE(eventually([&] { return stubborn.out().find("here") != std::string::npos; }));
  must({"down"});
  EXPECT_EQ(stubborn.wait(), 128 + SIGKILL);
  expect_no_trace();
}

TEST_F(Satlab, DownWorksAfterTheSatelliteDied)
{
  must({"up", fast()});
  const auto pid = content("/run/pepsal-satlab/" + lab_ + "/satsim.pid");
  ASSERT_EQ(::kill(std::atoi(pid.c_str()), SIGKILL), 0);
  eventually([&] { return satlab({"stats"}).status == 1; });
  const auto statistics = satlab({"stats"});
  EXPECT_EQ(statistics.status, 1);
  EXPECT_EQ(std::ranges::count(statistics.err, '\n'), 1) << statistics.err;
  must({"down"});
  expect_no_trace();
}

// Signals the script and everything it has started, as a terminal does.
void interrupt(ChildProcess& process, int signal)
{
  ::kill(-process.pid(), signal);
}

TEST_F(Satlab, InterruptedUpRemovesWhatItHasMade)
{
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    for (const int after : {0, 20, 60, 100, 150, 200, 300, 400}) {
      ChildProcess up{command({"up", fast()})};
      std::this_thread::sleep_for(milliseconds{after});
      interrupt(up, signal);
      const auto status = up.wait();
      ASSERT_TRUE(status);
      if (*status == 0) { // it was faster
        must({"down"});
      } else {
        EXPECT_EQ(satlab({"down"}).status, 1) << "there is nothing to take down any more";
      }
      expect_no_trace();
    }
  }
}

// The satellite's process is running already and has not entered its namespace yet.
TEST_F(Satlab, InterruptedUpEndsASatelliteJustStarted)
{
  for (int i = 0; i < 12; ++i) {
    ChildProcess up{command({"up", fast()})};
    const auto started = "/run/pepsal-satlab/" + lab_ + "/satsim.pid";
    while (!std::filesystem::exists(started) && up.is_running()) {
      std::this_thread::sleep_for(milliseconds{1});
    }
    interrupt(up, SIGTERM);
    if (up.wait() == 0) { // it was faster
      must({"down"});
    }
    expect_no_trace();
  }
}

TEST_F(Satlab, DownRemovesWhatAKilledUpHasLeft)
{
  for (const int after : {20, 60, 100, 150, 200, 300, 400}) {
    ChildProcess up{command({"up", fast()})};
    std::this_thread::sleep_for(milliseconds{after});
    interrupt(up, SIGKILL);
    ASSERT_TRUE(up.wait());
    satlab({"down"}); // 1 if it was killed before it made anything
    expect_no_trace();
  }
}

TEST_F(Satlab, AllowedCongestionControlsArePutBack)
{
  // The real list belongs to the machine: here a file replaces it, in a mount namespace of its own. What the lab adds
  // there must be in the real one, which the kernel uses.
  const auto real = content("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
  const auto last = real.find_last_not_of('\n') + 1;
  const auto begin = real.rfind(' ', last - 1) + 1; // 0 for the only word
  const auto name = real.substr(begin, last - begin);
  const auto file = scenario("DOWN_MBIT=50\nUP_MBIT=50\nRTT_MS=10\nCC=" + name + "\n");
  // /run is replaced, too: no other lab is counted as one that still needs the list.
  const auto script = fmt::format("set -e; cd {0}; printf some >allowed; mount -t tmpfs none /run\n"
                                  "mount --bind allowed /proc/sys/net/ipv4/tcp_allowed_congestion_control\n"
                                  "{1} --name {2} up {3}; cp allowed during\n"
                                  "{1} --name {2}b up {3}; printf %s \"$(cat allowed) other\" >allowed\n"
                                  "{1} --name {2} down; cp allowed between; {1} --name {2}b down; cp allowed after\n",
                                  folder_, PEPSAL_SATLAB, lab_, file);
  const auto result = ChildProcess{{.arguments = {"unshare", "--mount", "bash", "-c", script},
                                    .environment = {std::string{"SATSIM="} + PEPSAL_SATSIM}}}
                          .finish();
  ASSERT_EQ(result.status, 0) << result.out << result.err;
  EXPECT_EQ(content(folder_ + "/during"), "some " + name);
  EXPECT_EQ(content(folder_ + "/between"), "some " + name + " other") << "the second lab needs it still";
  EXPECT_EQ(content(folder_ + "/after"), "some other");
}

TEST_F(Satlab, ForeignNamespaceIsLeftAlone)
{
  const auto foreign = lab_ + "-gw";
  ASSERT_EQ((ChildProcess{{.arguments = {"ip", "netns", "add", foreign}}}.finish().status), 0);
  const auto before = traces();
  const auto result = satlab({"up", fast()});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_NE(result.err.find(foreign), std::string::npos) << result.err;
  EXPECT_EQ(traces(), before);
  EXPECT_EQ((ChildProcess{{.arguments = {"ip", "netns", "del", foreign}}}.finish().status), 0);
}

TEST_F(Satlab, SecondUpIsRefused)
{
  must({"up", fast()});
  const auto result = satlab({"up", fast()});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  must({"stats"});
}

TEST_F(Satlab, BadScenariosAreNamedAndNothingIsMade)
{
  const std::string good = "DOWN_MBIT=10\nUP_MBIT=2\nRTT_MS=600\n";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"UP_MBIT=2\nRTT_MS=1\n", "DOWN_MBIT"},
      {"DOWN_MBIT=fast\nUP_MBIT=2\nRTT_MS=1\n", "'fast'"},
      {"DOWN_MBIT=0\nUP_MBIT=2\nRTT_MS=1\n", "'0'"},
      {"DOWN_MBIT=1\nUP_MBIT=20000\nRTT_MS=1\n", "'20000'"},
      {"DOWN_MBIT=1\nUP_MBIT=-2\nRTT_MS=1\n", "'-2'"},
      {"DOWN_MBIT=1\nUP_MBIT=1\nRTT_MS=long\n", "'long'"},
      {"DOWN_MBIT=1\nUP_MBIT=1\n", "--rtt"},
      {good + "LOSS_DOWN=101\n", "'101'"},
      {good + "LOSS_UP=1%\n", "'1%'"},
      {good + "QUEUE_BDP=big\n", "'big'"},
      {good + "QUEUE_DOWN_BYTES=1.5\n", "'1.5'"},
      {good + "BURST_DOWN=1\n", "'1'"},
      {good + "SCHEDULE=5:sideways:rate=1\n", "'5:sideways:rate=1'"},
      {good + "SEED=-1\n", "'-1'"},
      {good + "MTU=1279\n", "'1279'"},
      {good + "TCP_RMEM=4096\n", "'4096'"},
      {good + "METRICS_SAVE=maybe\n", "'maybe'"},
      {good + "SPEED=5\n", "'SPEED'"},
      {good + "RTT_MS=500\n", "'RTT_MS'"},
      {good + "RTT_MS\n", "'RTT_MS'"},
      {good + "CC=\n", "'CC'"},
      {good + "CC=$(touch /tmp/never)\n", "'$(touch /tmp/never)'"},
      {good + "rm -rf nothing\n", "'rm -rf nothing'"},
  };
  for (const auto& [text, named] : cases) {
    const auto path = scenario(text);
    const auto result = satlab({"up", path});
    expect_one_line(result, 2, named);
    EXPECT_NE(result.err.find(path), std::string::npos) << result.err;
  }
  expect_one_line(satlab({"up", scenario(good + "CC=nosuchcc\n")}), 1, "'nosuchcc'");
}

TEST_F(Satlab, BadCommandsAreNamed)
{
  expect_one_line(satlab({}), 2, "up, down");
  expect_one_line(satlab({"start"}), 2, "'start'");
  expect_one_line(satlab({"up"}), 2, "scenario");
  expect_one_line(satlab({"up", "no-such-scenario"}), 2, "'no-such-scenario'");
  expect_one_line(satlab({"exec", "moon", "true"}), 2, "'moon'");
  expect_one_line(satlab({"run"}), 2, "command");
  expect_one_line(satlab({"shell"}), 2, "role");
  expect_one_line(satlab({"down"}), 1, lab_);
  expect_one_line(satlab({"run", "true"}), 1, lab_);
  expect_one_line(satlab({"stats"}), 1, lab_);
  auto command_line = command({"up", fast()});
  command_line.arguments[2] = "../escape";
  expect_one_line(ChildProcess{command_line}.finish(), 2, "'../escape'");
}

TEST_F(Satlab, EveryScenarioOfTheProjectIsUsable)
{
  const auto listed = must({"list"});
  for (const auto* name :
       {"quic4sat-4.1", "quic4sat-4.7", "geo-loss", "maritime", "web", "outage", "burst", "loopback-fast"}) {
    EXPECT_NE(listed.find(std::string{name} + " "), std::string::npos) << name;
  }
  std::istringstream lines{listed};
  for (std::string line; std::getline(lines, line);) {
    const auto name = line.substr(0, line.find(' '));
    must({"up", name});
    must({"down"});
  }
  expect_no_trace();
}

TEST_F(Satlab, FolderOfScenariosMayBeChosen)
{
  scenario("DESCRIPTION=my own\nDOWN_MBIT=1\nUP_MBIT=1\nRTT_MS=1\n", "mine");
  const auto listed = must({"--folder", folder_, "list"});
  EXPECT_NE(listed.find("my own"), std::string::npos) << listed;
  must({"--folder", folder_, "up", "mine"});
}

} // namespace
} // namespace pepsal::test
