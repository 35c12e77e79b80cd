// The emulator as a program: how it starts, what it refuses, and that its devices end with it. Nothing here is
// measured.

#include "satsim_fabric.hh"

#include "support/child_process.hh"
#include "support/eventually.hh"
#include "support/root.hh"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

namespace pepsal::test {
namespace {

class Satsim : public RootTest
{
protected:
  static bool has_interface(const NetworkNamespace& network, const char* name)
  {
    const Visit visit{network};
    return if_nametoindex(name) != 0;
  }
};

TEST_F(Satsim, EndsWithItsDevices)
{
  for (const int signal : {SIGTERM, SIGINT, SIGKILL}) {
    Fabric fabric{{"--rate-down", "10", "--rate-up", "10", "--rtt", "10"}};
    EXPECT_TRUE(has_interface(fabric.a(), "sat0"));
    EXPECT_TRUE(has_interface(fabric.b(), "sat0"));
    fabric.satsim().signal(signal);
    ASSERT_TRUE(fabric.satsim().wait());
    EXPECT_FALSE(has_interface(fabric.a(), "sat0"));
    EXPECT_FALSE(has_interface(fabric.b(), "sat0"));
    if (signal != SIGKILL) {
      EXPECT_EQ(fabric.satsim().wait(), 0);
      EXPECT_EQ(fabric.fields("down").count("peak_queue_bytes"), 1U) << fabric.satsim().out();
      EXPECT_EQ(fabric.fields("up").count("peak_queue_bytes"), 1U);
    }
  }
}

TEST_F(Satsim, TellsWhenItIsReady)
{
  const NetworkNamespace network;
  const auto path = fmt::format("/tmp/satsim_test.{}.ready", getpid());
  const auto script =
      fmt::format("exec {} --rate-down 1 --rate-up 1 --rtt 1 --b-device sat1 --ready-fd 3 3>{}", PEPSAL_SATSIM, path);
  ChildProcess child{{.arguments = {"sh", "-c", script}, .network = &network}};
  EXPECT_TRUE(eventually([&] { return child.out() == "satsim ready\n"; })) << child.err();
  EXPECT_TRUE(eventually([&] {
    std::ifstream file{path};
    return std::string{std::istreambuf_iterator<char>{file}, {}} == "\n";
  }));
  ::unlink(path.c_str());
}

// Runs satsim to its end, in a namespace of its own.
Result run_satsim(const std::vector<std::string>& arguments)
{
  static const NetworkNamespace network;
  Command command{.arguments = {PEPSAL_SATSIM}, .network = &network};
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  return ChildProcess{command}.finish();
}

void expect_one_line(const Result& result, int status, const std::string& named)
{
  EXPECT_EQ(result.status, status) << result.err;
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_NE(result.err.find(named), std::string::npos) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_F(Satsim, BadUsageIsOneLineAndStatusTwo)
{
  const std::vector<std::string> good{"--rate-down", "10", "--rate-up", "2", "--rtt", "5"};
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{{{"--loss-down", "lots"}, "'lots'"},
                                                                            {{"--schedule", "now"}, "'now'"},
                                                                            {{"--mtu", "0"}, "'0'"},
                                                                            {{"--fast"}, "--fast"}};
  for (const auto& [bad, named] : cases) {
    auto arguments = good;
    arguments.insert(arguments.end(), bad.begin(), bad.end());
    expect_one_line(run_satsim(arguments), 2, named);
  }
  expect_one_line(run_satsim({}), 2, "--rate-down");
}

TEST_F(Satsim, AnEnvironmentThatRefusesIsOneLineAndStatusOne)
{
  const std::vector<std::string> good{"--rate-down", "10", "--rate-up", "2", "--rtt", "5"};
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"--a-namespace", "no-such-namespace"}, "no-such-namespace"},
      {{"--a-namespace", "999999999"}, "999999999"},
      {{"--b-device", "lo"}, "lo"},
      {{"--b-device", "sat1", "--a-address", "10.0.0.1"}, "10.0.0.1"},
      {{"--b-device", "sat1", "--a-address", "10.0.0.1/33"}, "10.0.0.1/33"},
      {{"--b-device", "sat1", "--log-queue", "/no/such/folder/file"}, "/no/such/folder/file"}};
  for (const auto& [bad, named] : cases) {
    auto arguments = good;
    arguments.insert(arguments.end(), bad.begin(), bad.end());
    expect_one_line(run_satsim(arguments), 1, named);
  }
  expect_one_line(run_satsim(good), 1, "sat0"); // both ends of that name in one namespace
}

} // namespace
} // namespace pepsal::test
