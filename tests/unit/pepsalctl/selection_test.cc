#include "pepsalctl/selection.hh"

#include <gtest/gtest.h>

namespace pepsal {

namespace {

using namespace std::chrono_literals;

SocketFacts socket(const char* remote, std::uint32_t rtt_us, std::uint32_t retransmissions)
{
  SocketFacts result;
  result.remote = Endpoint::parse(remote, 80).value();
  result.info.tcpi_rtt = rtt_us;
  result.info.tcpi_total_retrans = retransmissions;
  result.send_queue = 10;
  return result;
}

ShownConnection connection(std::uint32_t id, const char* client, const char* server, SlotState state)
{
  ShownConnection result;
  result.entry.slot = id;
  result.entry.state = state;
  result.entry.connection.client = Endpoint::parse(client, 4000).value();
  result.entry.connection.server = Endpoint::parse(server, 80).value();
  result.entry.bytes_down = id * 100;
  return result;
}

std::vector<ShownConnection> three()
{
  std::vector<ShownConnection> result{connection(3, "10.1.0.2", "10.2.0.2", SlotState::open),
                                      connection(1, "10.1.0.3", "10.9.0.2", SlotState::pending),
                                      connection(2, "2001:db8::2", "2001:db8:1::2", SlotState::open)};
  result[0].legs = {.client = socket("10.1.0.2", 30'000, 1), .server = socket("10.2.0.2", 600'000, 2)};
  result[2].legs = {.client = socket("2001:db8::2", 20'000, 7), .server = socket("10.7.0.1", 700'000, 0)};
  return result;
}

std::vector<std::uint32_t> ids(const Selection& selection)
{
  std::vector<std::uint32_t> result;
  for (const auto& shown : selection.of(three())) {
    result.push_back(shown.id());
  }
  return result;
}

using Ids = std::vector<std::uint32_t>;

TEST(Selection, WithoutFiltersAllAreShownById)
{
  EXPECT_EQ(ids({}), (Ids{1, 2, 3}));
}

TEST(Selection, EachFilterNarrowsIt)
{
  EXPECT_EQ(ids({.client = Prefix::parse("10.1.0.0/16")}), (Ids{1, 3}));
  EXPECT_EQ(ids({.server = Prefix::parse("2001:db8::/32")}), (Ids{2}));
  EXPECT_EQ(ids({.peer = Prefix::parse("10.7.0.1")}), (Ids{2}));
  EXPECT_EQ(ids({.port = 81}), Ids{});
  EXPECT_EQ(ids({.state = SlotState::pending}), (Ids{1}));
  EXPECT_EQ(ids({.leg = LegName::server}), (Ids{2, 3}));
  EXPECT_EQ(ids({.client = Prefix::parse("10.1.0.0/16"), .state = SlotState::open}), (Ids{3}));
}

TEST(Selection, QuantitiesFallAndNamesRise)
{
  EXPECT_EQ(ids({.sort = Column::down}), (Ids{3, 2, 1}));
  EXPECT_EQ(ids({.client = Prefix::parse("10.1.0.0/16"), .sort = Column::client}), (Ids{3, 1}));
  EXPECT_EQ(ids({.sort = Column::rtt}), (Ids{2, 3, 1}));
  EXPECT_EQ(ids({.leg = LegName::client, .sort = Column::rtt}), (Ids{3, 2}));
  EXPECT_EQ(ids({.sort = Column::retransmissions}), (Ids{2, 3, 1}));
}

TEST(Selection, FiguresAreThoseOfTheLegAskedForOrOfBoth)
{
  const auto shown = three().front();
  EXPECT_EQ(figures_of(shown, {}).retransmissions, 3U);
  EXPECT_EQ(figures_of(shown, {}).rtt_us, 600'000U);
  EXPECT_EQ(figures_of(shown, {}).queued, 20U);
  EXPECT_EQ(figures_of(shown, LegName::client).retransmissions, 1U);
  EXPECT_EQ(figures_of(shown, LegName::server).retransmissions, 2U);
}

} // namespace

} // namespace pepsal
