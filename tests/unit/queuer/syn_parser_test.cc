#include "queuer/syn_parser.hh"

#include <gtest/gtest.h>

#include "packet.hh"

using namespace pepsal;
using namespace pepsal::test;

namespace {

std::optional<Connection> parse(const Bytes& packet)
{
  const Bytes exact{packet}; // so that AddressSanitizer sees a read past its end
  return parse_syn(std::as_bytes(std::span{exact.data(), exact.size()}));
}

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

constexpr std::uint32_t initial_sequence = 0x12345678;

Connection ipv4_connection()
{
  return {.client = *Endpoint::parse("10.0.0.2", 41234),
          .server = *Endpoint::parse("93.184.216.34", 443),
          .syn = {.initial_sequence = initial_sequence, .traffic_class = 0x8a, .ttl = 63}};
}

Connection ipv6_connection()
{
  return {.client = *Endpoint::parse("2001:db8::2", 41234),
          .server = *Endpoint::parse("2606:2800:220::22", 443),
          .syn = {.initial_sequence = initial_sequence, .traffic_class = 0xb9, .ttl = 61}};
}

Bytes with_byte(Bytes packet, std::size_t offset, unsigned value)
{
  packet.at(offset) = static_cast<std::uint8_t>(value);
  return packet;
}

Bytes with_u16(Bytes packet, std::size_t offset, std::size_t value)
{
  put_u16(packet, offset, value);
  return packet;
}

constexpr std::size_t ipv4_tcp = 20; // where TCP begins behind a header without options
constexpr std::size_t ipv6_tcp = 40;
constexpr std::size_t data_offset = 12; // in the TCP header

constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t routing = 43;
constexpr std::uint8_t fragment = 44;
constexpr std::uint8_t encapsulating = 50;
constexpr std::uint8_t authentication = 51;
constexpr std::uint8_t no_next = 59;
constexpr std::uint8_t destination_options = 60;

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
