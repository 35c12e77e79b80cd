#include "peer/proxy_header.hh"

#include <gtest/gtest.h>

using namespace pepsal;

namespace {

Endpoint endpoint(const char* address, std::uint16_t port)
{
  return Endpoint::parse(address, port).value();
}

ProxyHeader ipv4_header()
{
  return {
      .client = endpoint("10.81.1.2", 41234), .server = endpoint("192.0.2.7", 443), .traffic_class = 0xb8, .hops = 1};
}

ProxyHeader ipv6_header()
{
  return {.client = endpoint("2001:db8:1::2", 41234), .server = endpoint("2001:db8:3::7", 80)};
}

std::vector<std::byte> bytes(std::initializer_list<unsigned> values)
{
  std::vector<std::byte> result;
  for (const auto value : values) {
    result.push_back(static_cast<std::byte>(value));
  }
  return result;
}

// The header followed by these bytes, included in its length field.
std::vector<std::byte> with_tlvs(const std::vector<std::byte>& tlvs)
{
  auto header = ipv4_header().encode();
  header.resize(ProxyHeader::fixed_bytes + 12);
  header.insert(header.end(), tlvs.begin(), tlvs.end());
  const auto length = header.size() - ProxyHeader::fixed_bytes;
  header[14] = static_cast<std::byte>(length >> 8U);
  header[15] = static_cast<std::byte>(length);
  return header;
}

} // namespace

// Byte for byte as in the specification, followed by our own two TLVs.
TEST(ProxyHeader, IsWhatTheSpecificationSays)
{
  EXPECT_EQ(ipv4_header().encode(),
            bytes({0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0, 20, 10, 81, 1,
                   2,    192,  0,    2,    7,    0xa1, 0x12, 0x01, 0xbb, 0xe0, 0,    1,    0xb8, 0xe1, 0, 1,  1}));
}

TEST(ProxyHeader, SaysTheSameBack)
{
  for (const auto& header : {ipv4_header(), ipv6_header()}) {
    const auto encoded = header.encode();
    EXPECT_EQ(ProxyHeader::parse(encoded), header);
    EXPECT_EQ(ProxyHeader::length_of(std::span{encoded}.first<ProxyHeader::fixed_bytes>()), encoded.size());
  }
}

TEST(ProxyHeader, WithoutTlvsHasTheirDefaults)
{
  const auto header = ProxyHeader::parse(with_tlvs({}));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->traffic_class, 0);
  EXPECT_EQ(header->hops, 0);
}

TEST(ProxyHeader, SkipsTlvsItDoesNotKnow)
{
  const auto header = ProxyHeader::parse(with_tlvs(bytes({0x04, 0, 3, 1, 2, 3, 0xe0, 0, 1, 0x28, 0xef, 0, 0})));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->traffic_class, 0x28);
}

TEST(ProxyHeader, RefusesTlvsThatLie)
{
  EXPECT_FALSE(ProxyHeader::parse(with_tlvs(bytes({0xe0})))); // ends in a TLV's head
  EXPECT_FALSE(ProxyHeader::parse(with_tlvs(bytes({0xe0, 0}))));
  EXPECT_FALSE(ProxyHeader::parse(with_tlvs(bytes({0xe0, 0, 1}))));                   // ends before its value
  EXPECT_FALSE(ProxyHeader::parse(with_tlvs(bytes({0x04, 0xff, 0xff, 1}))));          // points far outside
  EXPECT_FALSE(ProxyHeader::parse(with_tlvs(bytes({0xe0, 0, 2, 1, 1}))));             // a known one too long
  EXPECT_FALSE(ProxyHeader::parse(with_tlvs(bytes({0xe1, 0, 0}))));                   // and too short
  EXPECT_FALSE(ProxyHeader::parse(with_tlvs(bytes({0xe1, 0, 1, 1, 0xe1, 0, 1, 2})))); // and twice
}

TEST(ProxyHeader, RefusesEveryPartAndEveryAddition)
{
  for (const auto& header : {ipv4_header(), ipv6_header()}) {
    auto encoded = header.encode();
    for (std::size_t length = 0; length < encoded.size(); ++length) {
      EXPECT_FALSE(ProxyHeader::parse(std::span{encoded}.first(length))) << length;
    }
    encoded.push_back(std::byte{0});
    EXPECT_FALSE(ProxyHeader::parse(encoded));
  }
}

TEST(ProxyHeader, RefusesWhatIsNoTcpConnectionOfAClient)
{
  const auto changed = [](std::size_t place, unsigned value) {
    auto encoded = ipv4_header().encode();
    encoded[place] = static_cast<std::byte>(value);
    return encoded;
  };
  EXPECT_FALSE(ProxyHeader::parse(changed(0, 0)));     // signature
  EXPECT_FALSE(ProxyHeader::parse(changed(12, 0x20))); // LOCAL
  EXPECT_FALSE(ProxyHeader::parse(changed(12, 0x22))); // a command that does not exist
  EXPECT_FALSE(ProxyHeader::parse(changed(12, 0x11))); // version 1
  EXPECT_FALSE(ProxyHeader::parse(changed(13, 0x12))); // UDP
  EXPECT_FALSE(ProxyHeader::parse(changed(13, 0x21))); // IPv6, with too few bytes
  EXPECT_FALSE(ProxyHeader::parse(changed(13, 0x31))); // a UNIX socket
  EXPECT_FALSE(ProxyHeader::parse(changed(13, 0x00))); // unspecified
}

TEST(ProxyHeader, LengthIsBoundedBeforeMoreIsRead)
{
  auto encoded = ipv4_header().encode();
  const auto beginning = std::span{encoded}.first<ProxyHeader::fixed_bytes>();
  encoded[14] = std::byte{0xff};
  EXPECT_FALSE(ProxyHeader::length_of(beginning));
  encoded[14] = std::byte{0};
  encoded[15] = static_cast<std::byte>(ProxyHeader::most_bytes - ProxyHeader::fixed_bytes);
  EXPECT_EQ(ProxyHeader::length_of(beginning), ProxyHeader::most_bytes);
  encoded[15] = static_cast<std::byte>(ProxyHeader::most_bytes - ProxyHeader::fixed_bytes + 1);
  EXPECT_FALSE(ProxyHeader::length_of(beginning));
}

// An IPv4-mapped address in an IPv6 header would pass checks made for IPv6.
TEST(ProxyHeader, RefusesIpv4InIpv6)
{
  auto encoded = ipv6_header().encode();
  const auto mapped = endpoint("127.0.0.1", 80).address;
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    encoded[ProxyHeader::fixed_bytes + 16 + i] = std::byte{mapped[i]};
  }
  EXPECT_FALSE(ProxyHeader::parse(encoded));
}
