#include "util/endpoint.hh"

#include <gtest/gtest.h>

using pepsal::Endpoint;
using pepsal::SocketAddress;

TEST(Endpoint, PrintsBothFamilies)
{
  EXPECT_EQ(Endpoint::parse("10.0.0.2", 80)->to_string(), "10.0.0.2:80");
  EXPECT_EQ(Endpoint::parse("2001:db8::2", 443)->to_string(), "[2001:db8::2]:443");
}

TEST(Endpoint, MappedAndPlainIPv4AreTheSame)
{
  EXPECT_EQ(Endpoint::parse("::ffff:10.0.0.2", 80), Endpoint::parse("10.0.0.2", 80));
}

TEST(Endpoint, RefusesWhatIsNoAddress)
{
  for (const auto* text : {"", "10.0.0", "10.0.0.256", "host", "1::2::3", "10.0.0.1 "}) {
    EXPECT_FALSE(Endpoint::parse(text, 1)) << text;
  }
}

TEST(SocketAddress, GoesThereAndBack)
{
  for (const auto* text : {"192.0.2.7", "2001:db8::7"}) {
    const auto endpoint = *Endpoint::parse(text, 65535);
    EXPECT_EQ(SocketAddress{endpoint}.endpoint(), endpoint);
  }
  EXPECT_EQ(SocketAddress{*Endpoint::parse("192.0.2.7", 1)}.family(), AF_INET);
  EXPECT_EQ(SocketAddress{*Endpoint::parse("2001:db8::7", 1)}.family(), AF_INET6);
}
