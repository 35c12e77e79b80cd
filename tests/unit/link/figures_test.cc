#include "link/figures.hh"

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

Link link_of(std::string_view text)
{
  std::vector<Link> links;
  add_link(links, text);
  return links.front();
}

TEST(LegFigures, BuffersHoldFourTimesWhatEachDirectionDoes)
{
  const auto gateway = leg_figures(link_of("sat0 rate=50/4.5 rtt=600 side=gateway"));
  EXPECT_EQ(gateway.bytes_in_flight, 3'750'000U); // 50 Mbit/s for 0.6 s
  EXPECT_EQ(gateway.send_buffer_bytes, 15'000'000U);
  EXPECT_EQ(gateway.receive_buffer_bytes, 1'350'000U);
  const auto terminal = leg_figures(link_of("sat0 rate=50/4.5 rtt=600 side=terminal"));
  EXPECT_EQ(terminal.bytes_in_flight, 337'500U);
  EXPECT_EQ(terminal.send_buffer_bytes, gateway.receive_buffer_bytes);
  EXPECT_EQ(terminal.receive_buffer_bytes, gateway.send_buffer_bytes);
}

TEST(LegFigures, StayWithinWhatASocketTakes)
{
  const auto thin = leg_figures(link_of("sat0 rate=0.01/0.01 rtt=1 side=gateway"));
  EXPECT_EQ(thin.bytes_in_flight, 128U * 1024);
  EXPECT_EQ(thin.send_buffer_bytes, 512U * 1024);
  const auto thick = leg_figures(link_of("sat0 rate=10000/10000 rtt=10000 side=gateway"));
  EXPECT_EQ(thick.send_buffer_bytes, 1U << 30);
}

// Computed by hand: a segment carries 1500 - 52 bytes, the shaper has 99.2 % of the rate.
TEST(InterfaceFigures, OfAGeostationaryGateway)
{
  const auto figures = interface_figures(link_of("sat0 rate=50/10 rtt=600 side=gateway"), 1500);
  EXPECT_EQ(figures.shaped_bit, 49'600'000U);
  EXPECT_EQ(figures.send_window_segments, 2590U); // 3.75 MB
  EXPECT_EQ(figures.receive_window_segments, 2591U);
  EXPECT_EQ(figures.queue_bytes, 31'000'000U);
  EXPECT_EQ(figures.share_bytes, 262'144U);
  EXPECT_EQ(figures.largest_buffer_bytes, 15'000'000U);
  EXPECT_EQ(figures.flush_us, 0U);
  EXPECT_EQ(figures.longest_timeout_ms, 1800U);
}

TEST(InterfaceFigures, OfATerminalWithANarrowWayBack)
{
  const auto figures = interface_figures(link_of("sat0 rate=250/3 rtt=650 side=terminal"), 1500);
  EXPECT_EQ(figures.shaped_bit, 2'976'000U);
  EXPECT_EQ(figures.send_window_segments, 168U);
  EXPECT_EQ(figures.receive_window_segments, 14029U);
  EXPECT_EQ(figures.share_bytes, 32'768U);
  EXPECT_EQ(figures.flush_us, 924U); // 416 bits of 0.45 Mbit/s
  EXPECT_EQ(interface_figures(link_of("sat0 rate=9/0.1 rtt=650 side=terminal"), 1500).flush_us, 8'000U);
}

// Half a bandwidth-delay product, in packets of the two to eight segments that BBR sends in a millisecond.
TEST(InterfaceFigures, RepeatPacketsOnlyWhereTheLinkLosesSome)
{
  const auto repeated = [](std::string_view text) { return interface_figures(link_of(text), 1500).repeat.packets; };
  EXPECT_EQ(repeated("sat0 rate=50/10 rtt=600 side=gateway"), 0U);
  EXPECT_EQ(repeated("sat0 rate=50/10 rtt=600 side=gateway loss=0"), 0U);
  EXPECT_EQ(repeated("sat0 rate=1.89/1.89 rtt=760 side=terminal loss=6"), 31U);
  EXPECT_EQ(repeated("sat0 rate=250/3 rtt=650 side=gateway loss=1"), 877U);
  EXPECT_EQ(repeated("sat0 rate=250/3 rtt=650 side=terminal loss=0.1"), 42U);
  EXPECT_EQ(repeated("sat0 rate=0.01/0.01 rtt=1 side=gateway loss=50"), 16U);
  EXPECT_EQ(repeated("sat0 rate=10000/10000 rtt=10000 side=gateway loss=1"), 10'000U);
}

TEST(InterfaceFigures, RepeatATenthOfWhatIsInFlightAtOnceInAMinute)
{
  const auto one = interface_figures(link_of("sat0 rate=250/3 rtt=600 side=gateway loss=1"), 1500).repeat;
  EXPECT_EQ(one.burst_bytes, 1'875'000U);
  EXPECT_EQ(one.bit, 250'000U);
  const auto few = interface_figures(link_of("sat0 rate=20/2 rtt=600 side=gateway loss=1"), 1500).repeat; // loses one
  EXPECT_EQ(few.burst_bytes, 3'028U);
  const auto thin = interface_figures(link_of("sat0 rate=0.01/0.01 rtt=1 side=gateway loss=1"), 1500).repeat;
  EXPECT_EQ(thin.burst_bytes, 3'028U);
  EXPECT_EQ(thin.bit, 1'000U);
}

TEST(InterfaceFigures, FollowTheMtu)
{
  const auto link = link_of("sat0 rate=50/10 rtt=600 side=gateway");
  EXPECT_EQ(interface_figures(link, 9000).send_window_segments, 419U);
  EXPECT_EQ(interface_figures(link, 68).send_window_segments, interface_figures(link, 576).send_window_segments);
}

TEST(InterfaceFigures, StayWithinWhatTheKernelTakes)
{
  const auto thick = interface_figures(link_of("sat0 rate=10000/10000 rtt=10000 side=gateway"), 1500);
  EXPECT_EQ(thick.send_window_segments, 65'535U);
  EXPECT_EQ(thick.queue_bytes, 1'000'000'000U);
  EXPECT_EQ(thick.largest_buffer_bytes, 1'000'000'000U);
  EXPECT_EQ(thick.longest_timeout_ms, 30'000U);
  const auto thin = interface_figures(link_of("sat0 rate=0.01/0.01 rtt=1 side=gateway"), 1500);
  EXPECT_EQ(thin.send_window_segments, 10U);
  EXPECT_EQ(thin.receive_window_segments, 10U);
  EXPECT_EQ(thin.largest_buffer_bytes, 6'291'456U);
  EXPECT_EQ(thin.longest_timeout_ms, 1'000U);
}

} // namespace
} // namespace pepsal::test
