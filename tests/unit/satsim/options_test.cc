#include "satsim/options.hh"

#include <vector>

#include <gtest/gtest.h>

#include "satsim/numbers.hh"

namespace pepsal::satsim {
namespace {

using std::chrono::milliseconds;

CommandLine parse(std::vector<const char*> arguments)
{
  arguments.insert(arguments.begin(), "satsim");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

Options options(std::vector<const char*> arguments)
{
  return parse(std::move(arguments)).options.value();
}

TEST(SatsimOptions, QueueIsOneProductOfBandwidthAndDelayByDefault)
{
  const auto read = options({"--rate-down", "250", "--rate-up", "3", "--rtt", "650"});
  EXPECT_EQ(read.down.rate, 250'000'000);
  EXPECT_EQ(read.up.rate, 3'000'000);
  EXPECT_EQ(read.down.delay, milliseconds{325});
  EXPECT_EQ(read.up.delay, milliseconds{325});
  EXPECT_EQ(read.down.queue_bytes, 20'312'500U);
  EXPECT_EQ(read.up.queue_bytes, 243'750U);
  EXPECT_NE(read.down.seed, read.up.seed);
}

TEST(SatsimOptions, EachDirectionMayHaveItsOwn)
{
  const auto read =
      options({"--rate-down",  "1.89", "--rate-up",   "0.5",         "--delay-down", "300",  "--delay-up", "20.5",
               "--queue-down", "0",    "--queue-bdp", "2",           "--loss-down",  "6",    "--loss-up",  "0.1",
               "--burst-up",   "1,20", "--schedule",  "5:up:rate=1", "--mtu",        "1280", "--seed",     "9"});
  EXPECT_EQ(read.down.rate, 1'890'000);
  EXPECT_EQ(read.down.delay, milliseconds{300});
  EXPECT_EQ(read.up.delay, std::chrono::microseconds{20'500});
  EXPECT_EQ(read.down.queue_bytes, 0U);
  EXPECT_EQ(read.up.queue_bytes, 40'063U); // 2 * 320.5 ms * 0.5 Mb/s
  EXPECT_DOUBLE_EQ(read.down.random_loss, 0.06);
  EXPECT_DOUBLE_EQ(read.up.random_loss, 0.001);
  EXPECT_EQ(read.up.burst.bad_to_good, 0.2);
  EXPECT_EQ(read.down.burst, BurstLoss{});
  EXPECT_TRUE(read.down.schedule.empty());
  EXPECT_EQ(read.up.schedule.size(), 1U);
  EXPECT_EQ(read.a.mtu, 1280);
  EXPECT_EQ(read.down.largest_packet, 1280U);
  EXPECT_EQ(read.down.seed, 9U);
}

TEST(SatsimOptions, ReadsDevices)
{
  const auto read =
      options({"--rate-down", "1", "--rate-up", "1", "--rtt", "0", "--a-namespace", "term", "--b-namespace",
               "/proc/1/ns/net", "--b-device", "sky", "--a-address", "10.0.0.1/30,fd00::1/64"});
  EXPECT_EQ(read.a.network_namespace, "term");
  EXPECT_EQ(read.b.network_namespace, "/proc/1/ns/net");
  EXPECT_EQ(read.a.name, "sat0");
  EXPECT_EQ(read.b.name, "sky");
  EXPECT_EQ(read.a.addresses, (std::vector<std::string>{"10.0.0.1/30", "fd00::1/64"}));
  EXPECT_TRUE(read.b.addresses.empty());
}

TEST(SatsimOptions, HelpAndVersionAreText)
{
  EXPECT_FALSE(parse({"--help"}).options);
  EXPECT_NE(parse({"--help"}).text.find("--rate-down"), std::string::npos);
  EXPECT_NE(parse({"--version"}).text.find("satsim"), std::string::npos);
}

struct BadCase
{
  std::vector<const char*> arguments;
  std::string named; // must be in the message
};

TEST(SatsimOptions, BadOnesAreNamedInOneLine)
{
  const std::vector<const char*> good{"--rate-down", "10", "--rate-up", "2"};
  const std::vector<BadCase> cases{
      {{"--rtt", "abc"}, "'abc'"},
      {{"--rtt", "-1"}, "'-1'"},
      {{"--rtt", "60001"}, "'60001'"},
      {{"--rtt", "1e2"}, "'1e2'"},
      {{"--rtt", ""}, "--rtt"},
      {{}, "--rtt"},
      {{"--delay-down", "5"}, "--delay-up"},
      {{"--rtt", "5", "--delay-up", "5"}, "--rtt"},
      {{"--rtt", "5", "--loss-down", "100.5"}, "'100.5'"},
      {{"--rtt", "5", "--queue-down", "1.5"}, "'1.5'"},
      {{"--rtt", "5", "--queue-up", "2000000000"}, "'2000000000'"},
      {{"--rtt", "60000", "--queue-bdp", "1000"}, "--queue-bdp"},
      {{"--rtt", "5", "--queue-bdp", "1", "--queue-up", "1", "--queue-down", "1"}, "--queue-bdp"},
      {{"--rtt", "5", "--burst-down", "1"}, "'1'"},
      {{"--rtt", "5", "--schedule", "soon"}, "'soon'"},
      {{"--rtt", "5", "--mtu", "67"}, "'67'"},
      {{"--rtt", "5", "--seed", "x"}, "'x'"},
      {{"--rtt", "5", "--a-device", "a/b"}, "'a/b'"},
      {{"--rtt", "5", "--b-device", "a-name-too-long-for-it"}, "'a-name-too-long-for-it'"},
      {{"--rtt", "5", "--ready-fd", "stdout"}, "'stdout'"},
      {{"--rtt", "5", "--speed", "7"}, "--speed"},
      {{"--rtt", "5", "stray"}, "stray"},
  };
  for (const auto& bad : cases) {
    auto arguments = good;
    arguments.insert(arguments.end(), bad.arguments.begin(), bad.arguments.end());
    try {
      parse(arguments);
      FAIL() << "taken instead of naming " << bad.named;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string{error.what()}.find(bad.named), std::string::npos) << error.what();
      EXPECT_EQ(std::string{error.what()}.find('\n'), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(parse({"--rate-up", "1", "--rtt", "5"}), UsageError);
  EXPECT_THROW(parse({"--rate-down", "0", "--rate-up", "1", "--rtt", "5"}), UsageError);
}

} // namespace
} // namespace pepsal::satsim
