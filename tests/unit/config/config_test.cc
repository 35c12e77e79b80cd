#include "config/command_line.hh"

#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include "command_words.hh"
#include "config/report.hh"

namespace pepsal::test {
namespace {

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
  EXPECT_EQ(config.log_connections, LogConnections::all);
  EXPECT_EQ(config.spare_proxies, 8);
  EXPECT_EQ(config.proxy_reuse, 1);
  EXPECT_EQ(config.source, Source::preserve);
  EXPECT_TRUE(config.links.empty());
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
                                 "--log-connections",
                                 "failed",
                                 "--source",
                                 "own",
                                 "--fastopen",
                                 "--link",
                                 "sat0",
                                 "--link",
                                 "sat1 rate=50/10 rtt=600 side=gateway",
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
  EXPECT_EQ(config.log_connections, LogConnections::failed);
  EXPECT_EQ(config.source, Source::own);
  EXPECT_TRUE(config.fastopen);
  ASSERT_EQ(config.links.size(), 2U);
  EXPECT_EQ(config.links[0].interface, "sat0");
  EXPECT_EQ(to_string(config.links[1]), "sat1 rate=50/10 rtt=600 side=gateway");
  EXPECT_EQ(config.satellite.congestion, "bbr");
  EXPECT_EQ(config.terrestrial.congestion, "");
  EXPECT_EQ(config.terrestrial.pacing_mbit, 7);
  EXPECT_EQ(config.satellite.notsent_lowat_bytes, 5000);
  EXPECT_EQ(config.satellite.user_timeout.count(), 20);
  EXPECT_EQ(config.terrestrial.keepalive.count(), 30);
}

TEST(Config, BothSidesHaveTheCongestionControlThatNoneNames)
{
  const auto config = config_of({"--link", "sat0", "--satellite-congestion", "bbr", "-C", "reno"});
  EXPECT_EQ(config.satellite.congestion, "bbr");
  EXPECT_EQ(config.terrestrial.congestion, "reno");
}

TEST(Config, DialEndsWithTheShorterUserTimeout)
{
  EXPECT_EQ(config_of({"--terrestrial-user-timeout", "10"}).connect_timeout.count(), 10);
  EXPECT_EQ(config_of({"--terrestrial-user-timeout", "60"}).connect_timeout.count(), 30);
}

TEST(Config, HelpFitsTheTerminal)
{
  std::istringstream help{parse({"--help"}).text};
  for (std::string line; std::getline(help, line);) {
    EXPECT_LE(line.size(), 80U) << line;
  }
}

TEST(Config, OfTheFixedOptionsThoseThatDifferAreNamed)
{
  const auto one = config_of({});
  EXPECT_TRUE(differing_options(one, config_of({"--verbose", "--max-connections", "5"})).empty());
  EXPECT_EQ(differing_options(one, config_of({"--port", "5001"})), std::vector<std::string_view>{"port"});
  EXPECT_EQ(differing_options(one, config_of({"--queue", "0:3", "--instance", "b"})),
            (std::vector<std::string_view>{"queue", "instance", "pidfile"}));
}

TEST(Config, PeersAreReadAndTakeARestart)
{
  const auto config = config_of({"--link", "sat0", "--peer", "10.9.0.2", "--peer", "2001:db8::2,10.81.0.0/16",
                                 "--warm-connections", "3", "--peer-key", "/etc/pepsal/key"});
  ASSERT_EQ(config.peers.peers.size(), 2U);
  EXPECT_EQ(config.peers.peers[0].address, Endpoint::parse("10.9.0.2", 5001));
  EXPECT_EQ(config.peers.peers[1].prefixes.size(), 1U);
  EXPECT_EQ(config.peers.warm_connections, 3U);
  EXPECT_EQ(config.peers.key_file, "/etc/pepsal/key");
  EXPECT_EQ(differing_options(config, config_of({"--link", "sat0", "--peer", "10.9.0.2", "--peer-port", "6000"})),
            (std::vector<std::string_view>{"peer", "warm-connections", "peer-port", "peer-key"}));
}

TEST(Config, LinksArePrintedForPrograms)
{
  const auto config = config_of({"--link", "nosuch0 rate=50/10 rtt=600 side=gateway", "--link", "nosuch1"});
  EXPECT_EQ(links_for_programs(config),
            "interface=nosuch0 side=gateway rate=50/10 rtt=600 loss=0 shaped_bit=49600000 queue_bytes=31000000 "
            "share_bytes=262144 buffer_bytes=15000000 initcwnd=2590 initrwnd=2591 flush_us=0 rto_ms=1800 "
            "repeat_packets=0 repeat_bit=0 repeat_burst=0\n"
            "interface=nosuch1\n");
  EXPECT_EQ(links_for_programs(config_of({})), "");
}

TEST(Config, LinksAndNamedInterfacesAreIntercepted)
{
  const auto config = config_of({"--link", "nosuch0", "--intercept", "nosuch1", "--intercept", "ppp+", "--intercept",
                                 "nosuch0", "--queue", "2:3", "--port", "81", "--instance", "two"});
  EXPECT_EQ(intercepted_interfaces(config), (std::vector<std::string>{"nosuch0", "nosuch1", "ppp+"}));
  EXPECT_EQ(rules_for_programs(config), "intercept=nosuch0\nintercept=nosuch1\nintercept=ppp+\nport=81\nqueue=2:3\n"
                                        "mark-shift=16\ninstance=two\n");
  EXPECT_NE(describe(config).find("arrive at nosuch0, nosuch1, ppp+\n"), std::string::npos) << describe(config);
  const auto none = config_of({"--link", "nosuch0", "--intercept", "none"});
  EXPECT_EQ(rules_for_programs(none), "port=5000\nqueue=0\nmark-shift=16\ninstance=default\n");
  EXPECT_NE(describe(none).find("intercepted: nothing"), std::string::npos) << describe(none);
}

TEST(Config, InterceptedInterfacesAreNames)
{
  for (const auto* word : {"lo", "a b", "a/b", "interface-name-x", "+", "p+p", "-x"}) {
    EXPECT_NE(complaint_about({"--intercept", word}), "") << word;
  }
  EXPECT_EQ(complaint_about({"--intercept", "lan0", "--intercept", "none"}),
            "--intercept: 'none' contradicts 'lan0', which was given before");
}

TEST(Config, ChecksAreTasksOfTheirOwn)
{
  EXPECT_EQ(parse({"--print-rules"}).task, CommandLine::Task::print_rules);
  EXPECT_EQ(parse({"--check"}).task, CommandLine::Task::check);
  EXPECT_EQ(parse({"--print-links"}).task, CommandLine::Task::print_links);
}

TEST(Config, HelpAndVersionAreTexts)
{
  EXPECT_EQ(parse({"--help"}).task, CommandLine::Task::print_text);
  EXPECT_NE(parse({"-h"}).text.find("--link"), std::string::npos);
  EXPECT_TRUE(parse({"-V"}).text.starts_with("pepsal "));
}

struct Mistake
{
  Words words;
  std::vector<std::string> told; // the value, and what is allowed
};

// In the name of the test.
void PrintTo(const Mistake& mistake, std::ostream* stream)
{
  *stream << testing::PrintToString(std::vector<std::string>(mistake.words.begin(), mistake.words.end()));
}

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
                    Mistake{{"--log-connections", "some"}, {"--log-connections", "some", "all, failed or none"}},
                    Mistake{{"--mark-shift", "29"}, {"--mark-shift", "29", "28"}},
                    Mistake{{"-m", "87"}, {"--max-segment-size", "87", "88", "65495"}},
                    Mistake{{"--source", "both"}, {"--source", "'both'", "preserve or own"}},
                    Mistake{{"--instance", "a/b"}, {"--instance", "'a/b'", "letters"}},
                    Mistake{{"--satellite-pacing", "0"}, {"--satellite-pacing", "0", "30000"}},
                    Mistake{{"--satellite-pacing", "5"}, {"--satellite-pacing", "no effect", "link"}},
                    Mistake{{"--satellite-congestion", "bbr"}, {"--satellite-congestion", "no effect", "link"}},
                    Mistake{{"--fastopen"}, {"--fastopen", "no effect", "link"}},
                    Mistake{{"--peer", "10.9.0.2"}, {"--peer", "no effect", "link"}},
                    Mistake{{"--link", "sat0", "--peer", "host"}, {"--peer", "'host'", "ADDRESS[,PREFIX...]"}},
                    Mistake{{"--link", "sat0", "--peer", "::1", "--peer", "::1"}, {"--peer", "'::1'", "twice"}},
                    Mistake{{"--peer-key", "file"}, {"--peer-key", "no effect", "--peer"}},
                    Mistake{{"--warm-connections", "1025"}, {"--warm-connections", "1025", "1024"}},
                    Mistake{{"--link", "sat0", "--peer", "::1", "--peer-port", "5000"}, {"--peer-port", "5000"}},
                    Mistake{{"--connect-timeout", "61", "--terrestrial-user-timeout", "60"},
                            {"--connect-timeout", "61", "60"}},
                    Mistake{{"--zoo", "--prot", "1"}, {"'--zoo'"}}, Mistake{{"--port="}, {"--port", "needs a value"}},
                    Mistake{{"--verbose=perhaps"}, {"--verbose"}},
                    Mistake{{"--link", "sat0 rate=20/5 rtt=5"}, {"--link", "lacks side"}},
                    Mistake{{"--link", "sat0 rate=20/"}, {"--link", "'rate=20/'"}}));

} // namespace
} // namespace pepsal::test
