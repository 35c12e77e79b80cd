#include "satsim/packet_ring.hh"

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace pepsal::satsim {
namespace {

std::vector<std::byte> make_packet(std::size_t size, unsigned number)
{
  std::vector<std::byte> packet(size);
  for (std::size_t i = 0; i < size; ++i) {
    packet[i] = static_cast<std::byte>(number * 31 + i);
  }
  return packet;
}

bool push(PacketRing& ring, const std::vector<std::byte>& packet)
{
  const auto space = ring.space();
  if (space.empty()) {
    return false;
  }
  std::ranges::copy(packet, space.begin());
  ring.push(packet.size());
  return true;
}

std::vector<std::byte> front(PacketRing& ring)
{
  const auto packet = ring.at(ring.head()).packet();
  return {packet.begin(), packet.end()};
}

TEST(PacketRing, GivesBackWhatWentIn)
{
  PacketRing ring{10'000, 1500};
  EXPECT_TRUE(ring.is_empty());
  EXPECT_EQ(ring.space().size(), 1500U);
  ASSERT_TRUE(push(ring, make_packet(1500, 1)));
  ASSERT_TRUE(push(ring, make_packet(20, 2)));
  EXPECT_EQ(front(ring), make_packet(1500, 1));
  ring.pop();
  EXPECT_EQ(front(ring), make_packet(20, 2));
  ring.pop();
  EXPECT_TRUE(ring.is_empty());
}

TEST(PacketRing, HoldsThePromisedBytesOfTheSmallestPackets)
{
  PacketRing ring{100'000, 1500};
  for (unsigned i = 0; i < 5000; ++i) {
    ASSERT_TRUE(push(ring, make_packet(20, i))) << i;
  }
}

TEST(PacketRing, SaysWhenItIsFullAndGoesOnAfterwards)
{
  PacketRing ring{10'000, 1500};
  unsigned pushed = 0;
  while (push(ring, make_packet(1000, pushed))) {
    ++pushed;
  }
  EXPECT_GE(pushed, 10U);
  for (unsigned i = 0; i < pushed; ++i) {
    ASSERT_EQ(front(ring), make_packet(1000, i));
    ring.pop();
  }
  EXPECT_TRUE(ring.is_empty());
  EXPECT_TRUE(push(ring, make_packet(1500, 1)));
}

// Against a plain deque, over many turns of the ring; a second position follows behind the head.
TEST(PacketRing, AgreesWithADequeOverManyTurns)
{
  PacketRing ring{20'000, 1500};
  std::deque<std::vector<std::byte>> expected;
  std::mt19937 random{4};
  PacketRing::Position place = ring.tail();
  std::size_t ahead = 0; // how many packets lie between the head and the place
  std::size_t bytes = 0;
  for (unsigned i = 0; i < 200'000; ++i) {
    const auto size = 20 + random() % 1481;
    if (bytes + size <= 20'000 && random() % 2 == 0) {
      ASSERT_TRUE(push(ring, make_packet(size, i)));
      expected.push_back(make_packet(size, i));
      bytes += size;
    } else if (ahead < expected.size() && random() % 2 == 0) {
      ASSERT_EQ(ring.at(place).size, expected[ahead].size());
      place = ring.after(place);
      ++ahead;
    } else if (ahead > 0) {
      ASSERT_NE(ring.head(), place);
      ASSERT_EQ(front(ring), expected.front());
      bytes -= expected.front().size();
      ring.pop();
      expected.pop_front();
      --ahead;
    }
    ASSERT_EQ(ring.is_empty(), expected.empty());
    ASSERT_EQ(ring.head() == place, ahead == 0);
    ASSERT_EQ(ring.tail() == place, ahead == expected.size());
  }
}

} // namespace
} // namespace pepsal::satsim
