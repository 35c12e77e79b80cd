#include "util/netlink_messages.hh"

#include <array>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>
#include <linux/netlink.h>

using namespace pepsal;

namespace {

using Datagram = std::array<std::byte, 64>;

void put_length(Datagram& datagram, std::size_t at, std::uint32_t length)
{
  const nlmsghdr header{.nlmsg_len = length, .nlmsg_type = 0, .nlmsg_flags = 0, .nlmsg_seq = 0, .nlmsg_pid = 0};
  std::memcpy(datagram.data() + at, &header, sizeof header);
}

} // namespace

TEST(WholeMessagesTest, AllThatAreWhole)
{
  Datagram datagram{};
  put_length(datagram, 0, 21); // and three bytes to the next one
  put_length(datagram, 24, 40);
  EXPECT_EQ(whole_messages(datagram).size(), 64U);
  EXPECT_EQ(whole_messages(std::span{datagram}.first(63)).size(), 24U);
  EXPECT_EQ(whole_messages(std::span{datagram}.first(24)).size(), 24U);
  EXPECT_EQ(whole_messages(std::span{datagram}.first(22)).size(), 0U) << "the padding belongs to the message";
}

TEST(WholeMessagesTest, LengthsThatLie)
{
  for (const std::uint32_t length :
       {0U, 15U, 41U, 0x7fffffffU, 0x80000000U, 0xbdbdbdbdU, std::numeric_limits<std::uint32_t>::max()}) {
    Datagram datagram{};
    put_length(datagram, 0, 24);
    put_length(datagram, 24, length);
    EXPECT_EQ(whole_messages(datagram).size(), 24U) << length;
  }
}
