#include "tcp/route.hh"

#include <array>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

namespace pepsal {
namespace {

TEST(OutgoingInterface, IsLoopbackForOwnAddresses)
{
  EXPECT_EQ(outgoing_interface(*Endpoint::parse("127.0.0.1", 80), 0), "lo");
  EXPECT_EQ(outgoing_interface(*Endpoint::parse("127.1.2.3", 80), 0x40000), "lo");
}

TEST(OutgoingInterface, IsNoneWithoutRoute)
{
  // RFC 6666: nobody has a route to the discard prefix except to discard.
  EXPECT_NE(outgoing_interface(*Endpoint::parse("100::1", 80), 0), "lo");
  EXPECT_EQ(outgoing_interface(*Endpoint::parse("0.0.0.0", 80), 0), "lo"); // "this host", RFC 1122 section 3.2.1.3
}

// An answer that claims to end before the route does is ignored: what follows is not part of it.
TEST(RouteInAnswer, EndsWhereItsLengthSays)
{
  std::array<std::byte, NLMSG_LENGTH(sizeof(rtmsg)) + RTA_LENGTH(sizeof(std::uint32_t))> answer{};
  nlmsghdr header{};
  header.nlmsg_type = RTM_NEWROUTE;
  const rtattr attribute{.rta_len = RTA_LENGTH(sizeof(std::uint32_t)), .rta_type = RTA_OIF};
  constexpr std::uint32_t interface = 7;
  std::memcpy(answer.data() + NLMSG_LENGTH(sizeof(rtmsg)), &attribute, sizeof attribute);
  std::memcpy(answer.data() + NLMSG_LENGTH(sizeof(rtmsg)) + RTA_LENGTH(0), &interface, sizeof interface);
  for (const auto& [length, expected] :
       {std::pair{answer.size(), interface}, std::pair{NLMSG_LENGTH(sizeof(rtmsg)), 0U},
        std::pair{std::size_t{NLMSG_LENGTH(0)}, 0U}, std::pair{std::size_t{0}, 0U}}) {
    header.nlmsg_len = static_cast<std::uint32_t>(length);
    std::memcpy(answer.data(), &header, sizeof header);
    EXPECT_EQ(route_in(answer).interface, expected) << length;
  }
}

} // namespace
} // namespace pepsal
