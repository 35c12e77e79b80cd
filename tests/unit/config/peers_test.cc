#include "config/peers.hh"

#include <gtest/gtest.h>

using namespace pepsal;

namespace {

Endpoint address(const char* text)
{
  return Endpoint::parse(text, 443).value();
}

std::string problem_of(const std::string& text)
{
  try {
    parse_peer(text);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

} // namespace

TEST(Peers, AreReadWithTheirPrefixes)
{
  const auto alone = parse_peer("2001:db8::2");
  EXPECT_EQ(alone.address, Endpoint::parse("2001:db8::2", 0));
  EXPECT_TRUE(alone.prefixes.empty());
  const auto peer = parse_peer("10.9.0.2,10.81.0.0/16,2001:db8:81::/48");
  ASSERT_EQ(peer.prefixes.size(), 2U);
  EXPECT_EQ(peer.prefixes[0].to_string(), "10.81.0.0/16");
  EXPECT_EQ(peer.prefixes[1].to_string(), "2001:db8:81::/48");
}

TEST(Peers, OtherTextIsAnsweredWithWhatIsAllowed)
{
  for (const auto* text : {"", "host.example", "10.9.0.2:5001", "10.9.0.2,", "10.9.0.2,10.81.0.0/40",
                           "10.9.0.2 10.9.0.3", "10.9.0.2,10.81.0.0/16,,"}) {
    const auto problem = problem_of(text);
    EXPECT_NE(problem.find(text), std::string::npos) << problem;
    EXPECT_NE(problem.find("ADDRESS[,PREFIX...]"), std::string::npos) << problem;
    EXPECT_EQ(problem.find('\n'), std::string::npos) << problem;
  }
}

TEST(Peers, PortIsTheOneBehindTheListeners)
{
  PeerOptions options{.peers = {parse_peer("10.9.0.2")}};
  complete_peers(options, 5000);
  EXPECT_EQ(options.port, 5001);
  EXPECT_EQ(options.peers[0].address.port, 5001);
  PeerOptions highest;
  complete_peers(highest, 65535);
  EXPECT_EQ(highest.port, 65534);
  PeerOptions same{.port = 5000};
  EXPECT_THROW(complete_peers(same, 5000), std::invalid_argument);
}

TEST(Peers, EachIsGivenOnce)
{
  PeerOptions options{.peers = {parse_peer("10.9.0.2"), parse_peer("10.9.0.3"), parse_peer("10.9.0.2,10.81.0.0/16")}};
  EXPECT_THROW(complete_peers(options, 5000), std::invalid_argument);
}

TEST(Peers, LongestPrefixCounts)
{
  const std::vector peers{parse_peer("10.9.0.1,10.81.0.0/16"), parse_peer("10.9.0.2,10.81.7.0/24,2001:db8:7::/48"),
                          parse_peer("10.9.0.3,10.81.0.0/16")};
  EXPECT_EQ(choose_peer(peers, address("10.81.7.9")), 1U);
  EXPECT_EQ(choose_peer(peers, address("10.81.8.9")), 0U);
  EXPECT_EQ(choose_peer(peers, address("2001:db8:7::1")), 1U);
  EXPECT_EQ(choose_peer(peers, address("192.0.2.7")), std::nullopt);
}

TEST(Peers, OneWithoutPrefixTakesTheRest)
{
  const std::vector peers{parse_peer("10.9.0.1"), parse_peer("10.9.0.2,10.81.7.0/24"), parse_peer("10.9.0.3")};
  EXPECT_EQ(choose_peer(peers, address("10.81.7.9")), 1U);
  EXPECT_EQ(choose_peer(peers, address("192.0.2.7")), 0U);
  EXPECT_EQ(choose_peer(peers, address("2001:db8::1")), 0U);
  EXPECT_EQ(choose_peer({}, address("192.0.2.7")), std::nullopt);
}

// A peer that is not across the link in question does not count, whatever lies behind it.
TEST(Peers, OnlyThoseThatTheFilterLetsPassAreChosen)
{
  const std::vector peers{parse_peer("10.9.0.1"), parse_peer("10.9.0.2,10.81.7.0/24"), parse_peer("10.9.0.3")};
  const auto without = [](std::string_view excluded) {
    return [excluded](const Peer& peer) { return peer.address.address_string() != excluded; };
  };
  EXPECT_EQ(choose_peer(peers, address("192.0.2.7"), without("10.9.0.1")), 2U);
  EXPECT_EQ(choose_peer(peers, address("10.81.7.9"), without("10.9.0.2")), 0U);
  EXPECT_EQ(choose_peer(peers, address("10.81.7.9"), without("10.9.0.1")), 1U);
  EXPECT_EQ(choose_peer(peers, address("192.0.2.7"), [](const Peer&) { return false; }), std::nullopt);
}
