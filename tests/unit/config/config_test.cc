#include "config/config.hh"

#include <filesystem>
#include <fstream>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace pepsal::test {
namespace {

using Words = std::vector<const char*>;

CommandLine parse(Words words)
{
  words.insert(words.begin(), "pepsal");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

Config config_of(const Words& words)
{
  return parse(words).config.value();
}

std::string complaint_about(const Words& words)
{
  try {
    parse(words);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

// A configuration file for one test.
class ConfigFileTest : public testing::Test
{
protected:
  ~ConfigFileTest() override { std::filesystem::remove(path_); }
  ConfigFileTest() = default;
  ConfigFileTest(const ConfigFileTest&) = delete;
  ConfigFileTest& operator=(const ConfigFileTest&) = delete;

  Words with_file(const std::string& text, const Words& words = {})
  {
    std::ofstream{path_} << text;
    Words result{"--config", path_.c_str()};
    result.insert(result.end(), words.begin(), words.end());
    return result;
  }

  const std::string path_ = fmt::format("{}pepsal{}.conf", testing::TempDir(), ::getpid());
};

TEST(Config, Defaults)
{
  const auto config = config_of({});
  EXPECT_FALSE(config.daemon);
  EXPECT_FALSE(config.verbose);
  EXPECT_EQ(config.address, "");
  EXPECT_EQ(config.port, 5000);
  EXPECT_EQ(config.first_queue, 0);
  EXPECT_EQ(config.last_queue, 0);
  EXPECT_EQ(config.marks.shift, 16);
  EXPECT_EQ(config.max_connections, 8192);
  EXPECT_EQ(config.pending_lifetime.count(), 60);
  EXPECT_EQ(config.gc_interval.count(), 5);
  EXPECT_EQ(config.connect_timeout.count(), 30);
  EXPECT_EQ(config.drain_timeout.count(), 30);
  EXPECT_EQ(config.spare_proxies, 8);
  EXPECT_EQ(config.proxy_reuse, 1);
  EXPECT_EQ(config.source, Source::preserve);
  EXPECT_TRUE(config.satellite_interfaces.empty());
  EXPECT_FALSE(config.fastopen);
  EXPECT_EQ(config.max_segment_size, 0);
  EXPECT_EQ(config.instance, "default");
  EXPECT_EQ(config.pidfile, "/run/pepsal/default.pid");
  EXPECT_EQ(config.user, "");
}

TEST(Config, ShortOptions)
{
  const auto config = config_of({"-d", "-v", "-p", "81", "-a", "10.0.0.1", "-q", "2:5", "-c", "9", "-t", "10", "-g",
                                 "11", "-C", "cubic", "-m", "1200"});
  EXPECT_TRUE(config.daemon);
  EXPECT_TRUE(config.verbose);
  EXPECT_EQ(config.port, 81);
  EXPECT_EQ(config.address, "10.0.0.1");
  EXPECT_EQ(config.first_queue, 2);
  EXPECT_EQ(config.last_queue, 5);
  EXPECT_EQ(config.max_connections, 9);
  EXPECT_EQ(config.pending_lifetime.count(), 10);
  EXPECT_EQ(config.gc_interval.count(), 11);
  EXPECT_EQ(config.satellite.congestion, "cubic");
  EXPECT_EQ(config.terrestrial.congestion, "cubic");
  EXPECT_EQ(config.max_segment_size, 1200);
}

TEST(Config, LongOptions)
{
  const auto config = config_of({"--mark-shift",
                                 "8",
                                 "--instance",
                                 "one",
                                 "--user",
                                 "nobody",
                                 "--spare-proxies",
                                 "3",
                                 "--proxy-reuse",
                                 "4",
                                 "--connect-timeout",
                                 "5",
                                 "--drain-timeout",
                                 "6",
                                 "--source",
                                 "own",
                                 "--fastopen",
                                 "--satellite-interface",
                                 "sat0",
                                 "--satellite-interface",
                                 "sat1",
                                 "--satellite-congestion",
                                 "bbr",
                                 "--terrestrial-pacing",
                                 "7",
                                 "--satellite-notsent-lowat",
                                 "5000",
                                 "--satellite-user-timeout",
                                 "20",
                                 "--terrestrial-keepalive",
                                 "30"});
  EXPECT_EQ(config.marks.client_leg(), 0x300U);
  EXPECT_EQ(config.pidfile, "/run/pepsal/one.pid");
  EXPECT_EQ(config.user, "nobody");
  EXPECT_EQ(config.spare_proxies, 3);
  EXPECT_EQ(config.proxy_reuse, 4);
  EXPECT_EQ(config.connect_timeout.count(), 5);
  EXPECT_EQ(config.drain_timeout.count(), 6);
  EXPECT_EQ(config.source, Source::own);
  EXPECT_TRUE(config.fastopen);
  EXPECT_EQ(config.satellite_interfaces, (std::vector<std::string>{"sat0", "sat1"}));
  EXPECT_EQ(config.satellite.congestion, "bbr");
  EXPECT_EQ(config.terrestrial.congestion, "");
  EXPECT_EQ(config.terrestrial.pacing_mbit, 7);
  EXPECT_EQ(config.satellite.notsent_lowat_bytes, 5000);
  EXPECT_EQ(config.satellite.user_timeout.count(), 20);
  EXPECT_EQ(config.terrestrial.keepalive.count(), 30);
}

TEST(Config, BuffersHoldFourTimesWhatTheLinkDoes)
{
  const auto config = config_of({"--satellite-rate", "20", "--satellite-rtt", "600"});
  EXPECT_EQ(config.satellite_bytes_in_flight, 1'500'000); // 20 Mbit/s for 0.6 s
  EXPECT_EQ(config.satellite.receive_buffer_bytes, 6'000'000);
  EXPECT_EQ(config.satellite.send_buffer_bytes, 6'000'000);
  EXPECT_EQ(config.terrestrial.receive_buffer_bytes, 0);
  EXPECT_EQ(config.terrestrial.send_buffer_bytes, 0);
}

TEST(Config, EachDirectionHasItsBuffer)
{
  const auto config = config_of({"--satellite-rate", "50/4.5", "--satellite-rtt", "600"});
  EXPECT_EQ(config.satellite_bytes_in_flight, 337'500);
  EXPECT_EQ(config.satellite.receive_buffer_bytes, 15'000'000);
  EXPECT_EQ(config.satellite.send_buffer_bytes, 1'350'000);
}

TEST(Config, HelpAndVersionAreTexts)
{
  EXPECT_FALSE(parse({"--help"}).config.has_value());
  EXPECT_NE(parse({"-h"}).text.find("--satellite-interface"), std::string::npos);
  EXPECT_TRUE(parse({"-V"}).text.starts_with("pepsal "));
}

TEST_F(ConfigFileTest, KeysAreTheLongOptions)
{
  const auto config = config_of(with_file("port = 81\nqueue = 1:3\nverbose = true\nsatellite-interface = sat0\n"
                                          "source = own\npending-lifetime = 9\n"));
  EXPECT_EQ(config.port, 81);
  EXPECT_EQ(config.last_queue, 3);
  EXPECT_TRUE(config.verbose);
  EXPECT_EQ(config.satellite_interfaces, std::vector<std::string>{"sat0"});
  EXPECT_EQ(config.source, Source::own);
  EXPECT_EQ(config.pending_lifetime.count(), 9);
}

TEST_F(ConfigFileTest, CommandLineComesFirst)
{
  const auto config = config_of(with_file("port = 81\nspare-proxies = 3\n", {"-p", "82"}));
  EXPECT_EQ(config.port, 82);
  EXPECT_EQ(config.spare_proxies, 3);
}

TEST_F(ConfigFileTest, UnknownKeyIsNamed)
{
  EXPECT_NE(complaint_about(with_file("prot = 81\n")).find("prot"), std::string::npos);
}

TEST_F(ConfigFileTest, WrongValueIsNamed)
{
  EXPECT_NE(complaint_about(with_file("port = http\n")).find("http"), std::string::npos);
}

TEST(Config, FileThatIsNotThereIsNamed)
{
  EXPECT_NE(complaint_about({"--config", "/nowhere.conf"}).find("/nowhere.conf"), std::string::npos);
}

struct Mistake
{
  Words words;
  std::vector<std::string> told; // the value, and what is allowed
};

class MistakeTest : public testing::TestWithParam<Mistake>
{};

TEST_P(MistakeTest, IsToldInOneLine)
{
  const auto complaint = complaint_about(GetParam().words);
  for (const auto& part : GetParam().told) {
    EXPECT_NE(complaint.find(part), std::string::npos) << "'" << complaint << "' does not tell " << part;
  }
  EXPECT_EQ(complaint.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Config, MistakeTest,
    testing::Values(Mistake{{"--prot", "1"}, {"--prot"}}, Mistake{{"surplus"}, {"surplus"}},
                    Mistake{{"-p", "0"}, {"--port", "0", "1", "65535"}},
                    Mistake{{"-p", "65536"}, {"--port", "65536", "65535"}}, Mistake{{"-p", "http"}, {"--port", "http"}},
                    Mistake{{"-p"}, {"--port"}}, Mistake{{"-a", "10.0.0"}, {"--address", "10.0.0"}},
                    Mistake{{"-q", "x"}, {"--queue", "'x'", "0 to 65535"}},
                    Mistake{{"-q", "3:1"}, {"--queue", "'3:1'", "lowest first"}},
                    Mistake{{"-q", "0:64"}, {"--queue", "'0:64'", "64 queues"}},
                    Mistake{{"-c", "0"}, {"--max-connections", "0", "1000000"}},
                    Mistake{{"-t", "0"}, {"--pending-lifetime", "0", "3600"}},
                    Mistake{{"-g", "4000"}, {"--gc-interval", "4000", "3600"}},
                    Mistake{{"--spare-proxies", "2000"}, {"--spare-proxies", "2000", "1024"}},
                    Mistake{{"--proxy-reuse", "0"}, {"--proxy-reuse", "0", "1"}},
                    Mistake{{"--connect-timeout", "601"}, {"--connect-timeout", "601", "600"}},
                    Mistake{{"--drain-timeout", "-1"}, {"--drain-timeout", "-1", "86400"}},
                    Mistake{{"--mark-shift", "29"}, {"--mark-shift", "29", "28"}},
                    Mistake{{"-m", "87"}, {"--max-segment-size", "87", "88", "65495"}},
                    Mistake{{"--source", "both"}, {"--source", "'both'", "preserve or own"}},
                    Mistake{{"--instance", "a/b"}, {"--instance", "'a/b'", "letters"}},
                    Mistake{{"--satellite-pacing", "0"}, {"--satellite-pacing", "0", "30000"}},
                    Mistake{{"--satellite-rate", "20"}, {"--satellite-rate", "--satellite-rtt"}},
                    Mistake{{"--satellite-rate", "20/"}, {"--satellite-rate", "'20/'", "0.01", "100000"}},
                    Mistake{{"--satellite-rate", "20/10/5"}, {"--satellite-rate", "'20/10/5'", "IN/OUT"}},
                    Mistake{{"--satellite-rate", "0"}, {"--satellite-rate", "'0'", "0.01"}},
                    Mistake{{"--satellite-rtt", "0", "--satellite-rate", "1"}, {"--satellite-rtt", "0", "10000"}},
                    Mistake{{"--fastopen"}, {"--fastopen", "--satellite-interface"}}));

TEST(ConfigOnThisSystem, UnknownCongestionControlIsNamedWithThoseThereAre)
{
  try {
    check_against_system(config_of({"-C", "nosuch"}));
    FAIL() << "accepted";
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("'nosuch'"), std::string::npos) << text;
    EXPECT_NE(text.find("reno"), std::string::npos) << text; // every kernel has it
  }
}

TEST(ConfigOnThisSystem, MissingInterfaceIsNamed)
{
  try {
    check_against_system(config_of({"--satellite-interface", "nosuch0"}));
    FAIL() << "accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string{error.what()}.find("'nosuch0'"), std::string::npos);
  }
}

} // namespace
} // namespace pepsal::test
