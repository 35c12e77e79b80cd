#include "util/destination.hh"

#include <gtest/gtest.h>

using namespace pepsal;

TEST(ForbiddenDestination, NoneIsReachedThatIsNotAnothersHost)
{
  for (const auto* address : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.9", "169.254.1.1", "224.0.0.1", "239.1.2.3",
                              "255.255.255.255", "::", "::1", "::7f00:1", "fe80::1", "febf::1", "ff02::1"}) {
    EXPECT_FALSE(forbidden_destination(Endpoint::parse(address, 80).value()).empty()) << address;
  }
  EXPECT_FALSE(forbidden_destination(Endpoint::parse("192.0.2.7", 0).value()).empty());
}

TEST(ForbiddenDestination, OthersAreAllowed)
{
  for (const auto* address :
       {"10.0.0.2", "192.0.2.7", "169.253.0.1", "223.255.255.1", "2001:db8::1", "fec0::1", "fd00::1", "64:ff9b::1"}) {
    EXPECT_EQ(forbidden_destination(Endpoint::parse(address, 80).value()), "") << address;
  }
}
