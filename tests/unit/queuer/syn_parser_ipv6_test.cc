#include "queuer/syn_parser.hh"

#include <gtest/gtest.h>

#include "syns.hh"

using namespace pepsal;
using namespace pepsal::test;

TEST(SynParserIPv6, SkipsExtensionHeaders)
{
  for (const auto type : {hop_by_hop, routing, destination_options}) {
    for (const std::size_t words : {1U, 2U, 5U, 32U, 256U}) {
      EXPECT_EQ(parse(Packet::ipv6(Packet::extension(tcp, words) + Packet::tcp(), type)), ipv6_connection())
          << unsigned{type} << " of " << words * 8 << " bytes";
    }
  }
  for (const std::size_t icv_bytes : {0U, 4U, 12U, 20U, 32U}) {
    EXPECT_EQ(parse(Packet::ipv6(Packet::authentication(tcp, icv_bytes) + Packet::tcp(), authentication)),
              ipv6_connection())
        << icv_bytes;
  }
}

TEST(SynParserIPv6, SkipsSeveralExtensionHeaders)
{
  const auto headers = Packet::extension(destination_options, 2) + Packet::extension(routing) +
                       Packet::extension(fragment, 3) + Packet::fragment(authentication, 0, false) +
                       Packet::authentication(destination_options, 12) + Packet::extension(tcp);
  EXPECT_EQ(parse(Packet::ipv6(headers + Packet::tcp(), hop_by_hop)), ipv6_connection());
  EXPECT_TRUE(parse(Packet::ipv6(headers + Packet::tcp(linux_options()), hop_by_hop))->syn.sack_permitted);
}

TEST(SynParserIPv6, RefusesUnknownHeadersBehindKnownOnes)
{
  EXPECT_FALSE(parse(Packet::ipv6(Packet::extension(no_next) + Packet::tcp(), hop_by_hop)));
  EXPECT_FALSE(parse(Packet::ipv6(Packet::extension(encapsulating) + Packet::tcp(), hop_by_hop)));
  EXPECT_FALSE(parse(Packet::ipv6(Packet::extension(17) + Packet::tcp(), destination_options)));
}

TEST(SynParserIPv6, RefusesFragmentsButAtomicOnes)
{
  const auto fragmented = [](std::size_t offset, bool more) {
    return parse(Packet::ipv6(Packet::fragment(tcp, offset, more) + Packet::tcp(), fragment));
  };
  EXPECT_EQ(fragmented(0, false), ipv6_connection()) << "RFC 6946";
  EXPECT_FALSE(fragmented(0, true)) << "the first of several";
  EXPECT_FALSE(fragmented(1, true)) << "one between";
  for (unsigned bit = 0; bit < 13; ++bit) {
    EXPECT_FALSE(fragmented(std::size_t{1} << bit, false)) << "the last, at offset " << (1U << bit);
  }
  auto reserved = Packet::ipv6(Packet::fragment(tcp, 0, false) + Packet::tcp(), fragment);
  reserved.at(ipv6_tcp + 3) |= 0x06;
  EXPECT_EQ(parse(reserved), ipv6_connection());
}

TEST(SynParserIPv6, RefusesRoutingWithSegmentsLeft)
{
  auto packet = Packet::ipv6(Packet::extension(tcp, 3) + Packet::tcp(), routing);
  EXPECT_EQ(parse(packet), ipv6_connection());
  packet.at(ipv6_tcp + 3) = 1;
  EXPECT_FALSE(parse(packet)) << "the destination address is not that of the server";
}

TEST(SynParserIPv6, RefusesExtensionLengthsThatLie)
{
  for (const auto type : {hop_by_hop, routing, destination_options, authentication}) {
    for (unsigned length = 0; length < 256; ++length) {
      auto packet = Packet::ipv6(Packet::extension(tcp, 2) + Packet::tcp(), type);
      packet.at(ipv6_tcp + 1) = static_cast<std::uint8_t>(length);
      const bool true_length = length == (type == authentication ? 2 : 1);
      EXPECT_EQ(parse(packet) == ipv6_connection(), true_length) << unsigned{type} << " " << length;
    }
  }
}

TEST(SynParserIPv6, RefusesAPayloadLengthThatLies)
{
  const auto packet = Packet::ipv6(Packet::extension(tcp) + Packet::tcp(mss_1460), destination_options);
  for (std::size_t length = 0; length < packet.size() - ipv6_tcp; ++length) {
    EXPECT_FALSE(parse(with_u16(packet, 4, length))) << length;
  }
  EXPECT_TRUE(parse(with_u16(packet, 4, 0xffff))) << "the rest was not copied";
}

TEST(SynParserIPv6, RefusesJumbograms) // RFC 2675: length 0, and the true one in a hop-by-hop option
{
  auto packet = Packet::ipv6(Bytes{tcp, 0, 0xc2, 4, 0, 1, 0, 0} + Packet::tcp(), hop_by_hop);
  EXPECT_TRUE(parse(packet));
  put_u16(packet, 4, 0);
  EXPECT_FALSE(parse(packet));
}

TEST(SynParserIPv6, RefusesAnEndlessChain)
{
  Bytes chain;
  for (int i = 0; i < 100; ++i) {
    chain = chain + Packet::extension(destination_options);
  }
  EXPECT_FALSE(parse(Packet::ipv6(chain, destination_options)));
  EXPECT_EQ(parse(Packet::ipv6(chain + Packet::extension(tcp) + Packet::tcp(), destination_options)),
            ipv6_connection());
}

TEST(SynParserIPv6, RefusesIPv4MappedAddresses)
{
  const Bytes mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2};
  for (const std::size_t address : {8U, 24U}) {
    auto packet = Packet::ipv6(Packet::tcp());
    std::copy(mapped.begin(), mapped.end(), packet.begin() + static_cast<std::ptrdiff_t>(address));
    EXPECT_FALSE(parse(packet)) << "it would pass for an IPv4 connection";
  }
}

TEST(SynParserIPv6, TakesDscpAndEcnFromTheTrafficClass)
{
  for (unsigned traffic_class = 0; traffic_class < 256; ++traffic_class) {
    auto packet = Packet::ipv6(Packet::tcp());
    packet[0] = static_cast<std::uint8_t>(0x60U | traffic_class >> 4);
    packet[1] = static_cast<std::uint8_t>((traffic_class & 0xfU) << 4 | 0xfU); // the flow label is not part of it
    EXPECT_EQ(parse(packet)->syn.traffic_class, traffic_class);
  }
}
