#include "util/destination.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

bool possible(const char* address)
{
  return is_possible_destination(Endpoint::parse(address, 80).value());
}

TEST(Destination, HostsAreReached)
{
  for (const auto* address : {"1.0.0.1", "10.0.0.2", "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.1",
                              "192.0.2.7", "223.255.255.255", "2001:db8::1", "fd00::1", "::2", "fec0::1", "100::1"}) {
    EXPECT_TRUE(possible(address)) << address;
  }
}

TEST(Destination, WhatNoRouterForwardsIsNot)
{
  for (const auto* address : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.1", "169.254.169.254", "224.0.0.1",
                              "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "febf::1",
                              "ff02::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"}) {
    EXPECT_FALSE(possible(address)) << address;
  }
}

TEST(Destination, PortZeroIsNot)
{
  EXPECT_FALSE(is_possible_destination(Endpoint::parse("192.0.2.7", 0).value()));
}

TEST(Destination, OwnAddressesAreThoseOfTheInterfaces)
{
  const OwnAddresses own;
  EXPECT_TRUE(own.have(Endpoint::parse("127.0.0.1", 7).value()));
  EXPECT_FALSE(own.have(Endpoint::parse("192.0.2.7", 7).value()));
}

} // namespace
} // namespace pepsal::test
