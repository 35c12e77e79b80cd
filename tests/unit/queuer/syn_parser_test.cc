#include "queuer/syn_parser.hh"

#include <gtest/gtest.h>

#include "syns.hh"

using namespace pepsal;
using namespace pepsal::test;

namespace {

// The attributes that these TCP options give in an otherwise plain SYN.
SynAttributes attributes(Bytes options)
{
  options.resize((options.size() + 3) / 4 * 4);
  const auto result = parse(Packet::ipv4(Packet::tcp(options)));
  if (!result) {
    throw std::logic_error{"a SYN was refused for its options"};
  }
  return result->syn;
}

} // namespace

TEST(SynParser, ReadsAPlainSynOfEitherFamily)
{
  EXPECT_EQ(parse(Packet::ipv4(Packet::tcp())), ipv4_connection());
  EXPECT_EQ(parse(Packet::ipv6(Packet::tcp())), ipv6_connection());
}

TEST(SynParser, ReadsWhatLinuxSends)
{
  const SynAttributes expected{.initial_sequence = initial_sequence,
                               .mss = 1460,
                               .window_scale = 7,
                               .traffic_class = 0x8a,
                               .ttl = 63,
                               .sack_permitted = true,
                               .timestamps = true};
  EXPECT_EQ(attributes(linux_options()), expected);
}

TEST(SynParser, IgnoresDataBehindTheHeader)
{
  EXPECT_EQ(parse(Packet::ipv4(Packet::tcp() + Bytes(100, 0xff))), ipv4_connection());
  EXPECT_EQ(parse(Packet::ipv6(Packet::tcp() + Bytes(100, 0xff))), ipv6_connection());
}

TEST(SynParser, IgnoresBytesBehindThePacket) // Ethernet pads to 60 bytes
{
  EXPECT_EQ(parse(Packet::ipv4(Packet::tcp()) + Bytes(100, 0xff)), ipv4_connection());
  EXPECT_EQ(parse(Packet::ipv6(Packet::tcp()) + Bytes(100, 0xff)), ipv6_connection());
}

TEST(SynParser, NeedsNotTheWholePacketButTheWholeHeader)
{
  for (const auto& headers : {Packet::ipv4(Packet::tcp(linux_options())), Packet::ipv6(Packet::tcp(linux_options())),
                              Packet::ipv6(Packet::extension(tcp, 3) + Packet::tcp(linux_options()), hop_by_hop)}) {
    auto packet = headers;
    const std::size_t length_field = packet[0] >> 4 == 4 ? 2 : 4;
    put_u16(packet, length_field, std::size_t{packet[length_field]} * 256 + packet[length_field + 1] + 400);
    EXPECT_TRUE(parse(packet));
    for (std::size_t length = 0; length < packet.size(); ++length) {
      EXPECT_FALSE(parse({packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(length)})) << length;
    }
  }
}

TEST(SynParser, RefusesOtherVersions)
{
  for (unsigned version = 0; version < 16; ++version) {
    EXPECT_EQ(parse(with_byte(Packet::ipv4(Packet::tcp()), 0, version << 4 | 5)).has_value(), version == 4) << version;
  }
}

TEST(SynParser, RefusesPacketsThatDoNotOpen)
{
  for (unsigned flags = 0; flags < 256; ++flags) {
    const bool opens = (flags & (Packet::syn | Packet::ack | Packet::rst | Packet::fin)) == Packet::syn;
    EXPECT_EQ(parse(Packet::ipv4(Packet::tcp({}, static_cast<std::uint8_t>(flags)))).has_value(), opens) << flags;
    EXPECT_EQ(parse(Packet::ipv6(Packet::tcp({}, static_cast<std::uint8_t>(flags)))).has_value(), opens) << flags;
  }
}

TEST(SynParser, RefusesOtherProtocols)
{
  for (unsigned protocol = 0; protocol < 256; ++protocol) {
    EXPECT_EQ(parse(with_byte(Packet::ipv4(Packet::tcp()), 9, protocol)).has_value(), protocol == tcp) << protocol;
  }
  for (const unsigned next : {1U, 2U, 4U, 17U, 41U, 47U, 58U, 132U, 135U, 139U, 140U, 253U, 255U}) {
    EXPECT_FALSE(parse(with_byte(Packet::ipv6(Packet::tcp()), 6, next))) << next;
  }
  EXPECT_FALSE(parse(Packet::ipv6(Packet::tcp(), encapsulating)));
  EXPECT_FALSE(parse(Packet::ipv6(Packet::tcp(), no_next)));
}

TEST(SynParser, RefusesPortNought)
{
  for (const std::size_t port : {0U, 2U}) {
    EXPECT_FALSE(parse(with_u16(Packet::ipv4(Packet::tcp()), ipv4_tcp + port, 0)));
    EXPECT_FALSE(parse(with_u16(Packet::ipv6(Packet::tcp()), ipv6_tcp + port, 0)));
    EXPECT_TRUE(parse(with_u16(Packet::ipv4(Packet::tcp()), ipv4_tcp + port, 1)));
    EXPECT_TRUE(parse(with_u16(Packet::ipv4(Packet::tcp()), ipv4_tcp + port, 0xffff)));
  }
}

TEST(SynParser, SkipsIPv4Options)
{
  for (std::size_t words = 1; words <= 10; ++words) {
    EXPECT_EQ(parse(Packet::ipv4(Packet::tcp(), Bytes(words * 4, 1))), ipv4_connection()) << words;
  }
}

TEST(SynParser, RefusesAnIPv4HeaderLengthThatLies)
{
  const auto packet = Packet::ipv4(Packet::tcp());
  for (unsigned words = 0; words < 5; ++words) {
    EXPECT_FALSE(parse(with_byte(packet, 0, 0x40U | words))) << words;
  }
  EXPECT_FALSE(parse(with_byte(packet, 0, 0x4fU))) << "behind the packet's end";
  EXPECT_FALSE(parse(with_byte(packet, 0, 0x4aU))) << "at the packet's end";
}

TEST(SynParser, RefusesAnIPv4TotalLengthThatLies)
{
  const auto packet = Packet::ipv4(Packet::tcp(mss_1460));
  for (std::size_t total = 0; total < packet.size(); ++total) {
    EXPECT_FALSE(parse(with_u16(packet, 2, total))) << total;
  }
  EXPECT_TRUE(parse(with_u16(packet, 2, 0xffff))) << "the rest was not copied";
}

TEST(SynParser, RefusesIPv4Fragments)
{
  const auto packet = Packet::ipv4(Packet::tcp());
  EXPECT_TRUE(parse(with_u16(packet, 6, 0x0000))) << "may be fragmented, but is not";
  EXPECT_TRUE(parse(with_u16(packet, 6, 0x4000))) << "don't fragment";
  EXPECT_FALSE(parse(with_u16(packet, 6, 0x2000))) << "the first of several";
  EXPECT_FALSE(parse(with_u16(packet, 6, 0x2001))) << "one between";
  for (unsigned bit = 0; bit < 13; ++bit) {
    EXPECT_FALSE(parse(with_u16(packet, 6, std::size_t{1} << bit))) << "one with offset " << (1U << bit);
  }
}

TEST(SynParser, RefusesATcpHeaderLengthThatLies)
{
  const auto ipv4 = Packet::ipv4(Packet::tcp(mss_1460));
  const auto ipv6 = Packet::ipv6(Packet::tcp(mss_1460));
  for (unsigned words = 0; words < 16; ++words) {
    const bool fits = words == 5 || words == 6;
    EXPECT_EQ(parse(with_byte(ipv4, ipv4_tcp + data_offset, words << 4)).has_value(), fits) << words;
    EXPECT_EQ(parse(with_byte(ipv6, ipv6_tcp + data_offset, words << 4)).has_value(), fits) << words;
  }
}

TEST(SynParser, RefusesAHeaderThatOnlyPaddingCompletes)
{
  // The TCP header says 24 bytes, the IP header that the packet ends after 20 of them.
  const auto ipv4 = Packet::ipv4(Packet::tcp(mss_1460));
  EXPECT_FALSE(parse(with_u16(ipv4, 2, 40)));
  const auto ipv6 = Packet::ipv6(Packet::tcp(mss_1460));
  EXPECT_FALSE(parse(with_u16(ipv6, 4, 20)));
}

TEST(SynParser, IgnoresReservedBitsAndOtherFlags)
{
  auto packet = Packet::ipv4(Packet::tcp({}, Packet::syn | Packet::ece | Packet::cwr)); // RFC 3168 section 6.1.1
  EXPECT_EQ(parse(packet), ipv4_connection());
  packet.at(ipv4_tcp + data_offset) |= 0x0f;
  EXPECT_EQ(parse(packet), ipv4_connection());
  EXPECT_TRUE(parse(with_u16(packet, 6, 0x8000))) << "the reserved bit of IPv4";
}

TEST(SynParserOptions, MaximumSegmentSize)
{
  EXPECT_EQ(attributes({}).mss, 0);
  EXPECT_EQ(attributes(mss_1460).mss, 1460);
  EXPECT_EQ(attributes({2, 4, 0xff, 0xff}).mss, 0xffff);
  EXPECT_EQ(attributes({2, 3, 5, 1}).mss, 0) << "of another length";
  EXPECT_EQ(attributes({2, 5, 5, 5, 5}).mss, 0) << "of another length";
  EXPECT_EQ(attributes(mss_1460 + Bytes{2, 4, 2, 0}).mss, 512) << "the last counts";
}

TEST(SynParserOptions, WindowScale)
{
  EXPECT_EQ(attributes({}).window_scale, SynAttributes::no_window_scale);
  EXPECT_EQ(attributes({3, 3, 0}).window_scale, 0);
  EXPECT_EQ(attributes({3, 3, 14}).window_scale, 14);
  EXPECT_EQ(attributes({3, 3, 15}).window_scale, 14) << "RFC 7323 section 2.3";
  EXPECT_EQ(attributes({3, 3, 255}).window_scale, 14);
  EXPECT_EQ(attributes({3, 2}).window_scale, SynAttributes::no_window_scale);
  EXPECT_EQ(attributes({3, 4, 7, 7}).window_scale, SynAttributes::no_window_scale);
}

TEST(SynParserOptions, SackPermitted)
{
  EXPECT_FALSE(attributes({}).sack_permitted);
  EXPECT_TRUE(attributes(sack_permitted).sack_permitted);
  EXPECT_FALSE(attributes({4, 3, 0}).sack_permitted);
}

TEST(SynParserOptions, Timestamps)
{
  EXPECT_FALSE(attributes({}).timestamps);
  EXPECT_TRUE(attributes(timestamps).timestamps);
  EXPECT_FALSE(attributes({8, 9, 1, 2, 3, 4, 0, 0, 0}).timestamps);
}

TEST(SynParserOptions, WhatNoProxyCanGiveIsNoted)
{
  const Bytes md5 = Bytes{19, 18} + Bytes(16, 7);
  const Bytes ao = Bytes{29, 16} + Bytes(14, 7);
  const Bytes join{30, 12, 0x10, 1, 1, 2, 3, 4, 5, 6, 7, 8};
  const Bytes capable{30, 4, 0x01, 0x81};
  EXPECT_EQ(attributes(mss_1460).unsplittable, Unsplittable::nothing);
  EXPECT_EQ(attributes(md5).unsplittable, Unsplittable::authentication);
  EXPECT_EQ(attributes(mss_1460 + ao).unsplittable, Unsplittable::authentication);
  EXPECT_EQ(attributes(mss_1460 + join).unsplittable, Unsplittable::joining);
  EXPECT_EQ(attributes(mss_1460 + capable).unsplittable, Unsplittable::nothing);
  EXPECT_EQ(attributes({30, 2}).unsplittable, Unsplittable::nothing) << "no subtype";
}

TEST(SynParserOptions, UnknownOnesAreSkipped)
{
  const Bytes fastopen_cookie{34, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  const Bytes multipath{30, 12, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(attributes(fastopen_cookie + multipath + mss_1460).mss, 1460);
  EXPECT_EQ(attributes(Bytes{254, 2} + mss_1460).mss, 1460);
}

TEST(SynParserOptions, NopsAreSkippedAndEndEnds)
{
  EXPECT_EQ(attributes(Bytes(36, 1) + mss_1460).mss, 1460);
  EXPECT_EQ(attributes(end_of_options + mss_1460).mss, 0);
  EXPECT_TRUE(attributes(mss_1460 + end_of_options + sack_permitted).mss == 1460);
  EXPECT_FALSE(attributes(mss_1460 + end_of_options + sack_permitted).sack_permitted);
}

TEST(SynParserOptions, ALengthThatLiesEndsThem)
{
  for (const unsigned length : {0U, 1U, 41U, 255U}) {
    const auto got = attributes(mss_1460 + Bytes{77, static_cast<std::uint8_t>(length)} + sack_permitted);
    EXPECT_EQ(got.mss, 1460) << length;
    EXPECT_FALSE(got.sack_permitted) << length;
  }
  EXPECT_EQ(attributes({1, 1, 1, 2}).mss, 0) << "a kind without a length";
  EXPECT_EQ(attributes({1, 1, 2, 4}).mss, 0) << "a length without contents";
  EXPECT_EQ(attributes({1, 2, 4, 5}).mss, 0) << "half of the contents";
}

TEST(ParseSegment, TellsEndsAndTrafficClassOfAny)
{
  const auto segment = [](const Bytes& packet) {
    const Bytes exact{packet};
    return parse_segment(std::as_bytes(std::span{exact.data(), exact.size()}));
  };
  const auto same = [](const Connection& connection) {
    return Segment{
        .source = connection.client, .destination = connection.server, .traffic_class = connection.syn.traffic_class};
  };
  const Bytes data(1000, 'x');
  for (const auto flags : {Packet::ack, Packet::syn, Packet::fin, Packet::rst}) {
    EXPECT_EQ(segment(Packet::ipv4(Packet::tcp({}, flags) + data)), same(ipv4_connection()));
    EXPECT_EQ(segment(Packet::ipv6(Packet::tcp({}, flags) + data)), same(ipv6_connection()));
  }
  auto cut = Packet::ipv4(Packet::tcp({}, Packet::ack) + data);
  cut.resize(ipv4_tcp + 20);
  EXPECT_EQ(segment(cut), same(ipv4_connection())) << "the header is whole";
  cut.pop_back();
  EXPECT_FALSE(segment(cut));
  EXPECT_FALSE(segment({}));
}
