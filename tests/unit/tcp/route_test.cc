#include "tcp/route.hh"

#include <gtest/gtest.h>

namespace pepsal {
namespace {

TEST(OutgoingInterface, IsLoopbackForOwnAddresses)
{
  EXPECT_EQ(outgoing_interface(*Endpoint::parse("127.0.0.1", 80), 0), "lo");
  EXPECT_EQ(outgoing_interface(*Endpoint::parse("127.1.2.3", 80), 0x40000), "lo");
}

TEST(OutgoingInterface, IsNoneWithoutRoute)
{
  // RFC 6666: nobody has a route to the discard prefix unless he made one to discard.
  EXPECT_NE(outgoing_interface(*Endpoint::parse("100::1", 80), 0), "lo");
  EXPECT_EQ(outgoing_interface(*Endpoint::parse("0.0.0.0", 80), 0), "lo"); // "this host", RFC 1122 section 3.2.1.3
}

} // namespace
} // namespace pepsal
