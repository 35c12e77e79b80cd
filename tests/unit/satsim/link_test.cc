#include "satsim/link.hh"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace pepsal::satsim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BitsPerSecond megabit = 1'000'000;

struct Delivery
{
  Time at;
  std::uint32_t number;
};

void send(Link& link, Time at, std::size_t size, std::uint32_t number = 0)
{
  const auto space = link.space();
  ASSERT_GE(space.size(), size);
  std::memcpy(space.data(), &number, sizeof number);
  link.arrive(at, size);
}

// Takes what is due, waking only when the link says so, as the emulator does.
std::vector<Delivery> run_until(Link& link, Time end)
{
  std::vector<Delivery> deliveries;
  for (auto event = link.next_event(); event && *event <= end; event = link.next_event()) {
    const Time now = *event;
    while (const auto packet = link.due(now)) {
      std::uint32_t number{};
      std::memcpy(&number, packet->data(), sizeof number);
      EXPECT_EQ(link.due_time(), now) << "the link woke its user too late or too early";
      deliveries.push_back({now, number});
      link.deliver();
    }
  }
  return deliveries;
}

Profile profile(BitsPerSecond rate, Time delay, std::size_t queue_bytes)
{
  Profile result;
  result.rate = rate;
  result.delay = delay;
  result.queue_bytes = queue_bytes;
  return result;
}

TEST(Link, SerialisesThenDelays)
{
  Link link{profile(megabit, milliseconds{50}, 10'000)};
  send(link, milliseconds{7}, 1250); // 10 ms at 1 Mb/s
  EXPECT_EQ(link.next_event(), milliseconds{67});
  EXPECT_FALSE(link.due(milliseconds{67} - Time{1}));
  EXPECT_EQ(link.due(milliseconds{67})->size(), 1250U);
  link.deliver();
  EXPECT_EQ(link.next_event(), std::nullopt);
}

TEST(Link, PacketsFollowAtTheRateOfTheLink)
{
  Link link{profile(megabit, milliseconds{50}, 100'000)};
  for (std::uint32_t i = 0; i < 20; ++i) {
    send(link, Time{}, 1250, i);
  }
  const auto deliveries = run_until(link, seconds{1});
  ASSERT_EQ(deliveries.size(), 20U);
  for (std::uint32_t i = 0; i < 20; ++i) {
    EXPECT_EQ(deliveries[i].at, milliseconds{50 + 10 * (i + 1)});
    EXPECT_EQ(deliveries[i].number, i);
  }
}

TEST(Link, RoundingDoesNotAddUp)
{
  // 1499 bytes take 3997333.3 ns at 3 Mb/s.
  Link link{profile(3 * megabit, Time{}, 10'000'000)};
  constexpr int packets = 3000;
  for (int i = 0; i < packets; ++i) {
    send(link, Time{}, 1499);
  }
  const auto deliveries = run_until(link, seconds{60});
  ASSERT_EQ(deliveries.size(), static_cast<std::size_t>(packets));
  EXPECT_EQ(deliveries.back().at, milliseconds{11'992}); // 3000 * 1499 * 8 bits / 3 Mb/s
}

TEST(Link, IdleTimeIsNotSavedUp)
{
  Link link{profile(megabit, Time{}, 100'000)};
  send(link, Time{}, 1250);
  EXPECT_EQ(run_until(link, seconds{5}).size(), 1U);
  send(link, seconds{5}, 1250);
  send(link, seconds{5}, 1250);
  const auto deliveries = run_until(link, seconds{6});
  EXPECT_EQ(deliveries.at(0).at, seconds{5} + milliseconds{10});
  EXPECT_EQ(deliveries.at(1).at, seconds{5} + milliseconds{20});
}

TEST(Link, QueueDropsFromItsTail)
{
  Link link{profile(megabit, Time{}, 3000)};
  for (std::uint32_t i = 0; i < 5; ++i) {
    send(link, Time{}, 1500, i); // one is being sent, two wait, two are dropped
  }
  EXPECT_EQ(link.counters().queue_drops, 2U);
  EXPECT_EQ(link.queued_bytes(Time{}), 3000U);
  EXPECT_EQ(link.queued_bytes(milliseconds{12}), 1500U); // 12 ms a packet
  send(link, milliseconds{12}, 1500, 5);
  send(link, milliseconds{12}, 20, 6);
  EXPECT_EQ(link.counters().queue_drops, 3U) << "not even a small packet fits into a full queue";
  EXPECT_EQ(link.counters().peak_queue_bytes, 3000U);
  std::vector<std::uint32_t> numbers;
  for (const auto& delivery : run_until(link, seconds{1})) {
    numbers.push_back(delivery.number);
  }
  EXPECT_EQ(numbers, (std::vector<std::uint32_t>{0, 1, 2, 5}));
  EXPECT_EQ(link.counters().offered_packets, 7U);
  EXPECT_EQ(link.counters().delivered_packets, 4U);
  EXPECT_EQ(link.counters().delivered_bytes, 6000U);
}

TEST(Link, WithoutQueueOnlyAnIdleLinkTakesPackets)
{
  Link link{profile(megabit, Time{}, 0)};
  send(link, Time{}, 1250, 1);
  send(link, Time{}, 1250, 2);
  send(link, milliseconds{10}, 1250, 3);
  EXPECT_EQ(link.counters().queue_drops, 1U);
  EXPECT_EQ(link.counters().peak_queue_bytes, 0U);
}

TEST(Link, RateChangesInTheMiddleOfAPacket)
{
  auto slower = profile(megabit, Time{}, 10'000);
  slower.schedule = {{milliseconds{5}, Change::What::rate, 0.5e6}};
  Link link{slower};
  send(link, Time{}, 1250);
  send(link, Time{}, 1250);
  const auto deliveries = run_until(link, seconds{1});
  EXPECT_EQ(deliveries.at(0).at, milliseconds{15}); // half of it in 5 ms, the other half in 10
  EXPECT_EQ(deliveries.at(1).at, milliseconds{35});
}

TEST(Link, StallStopsTheSerialiserAndLosesNothing)
{
  auto stalling = profile(megabit, milliseconds{1}, 10'000);
  stalling.schedule = {{milliseconds{4}, Change::What::stall_begin, 0}, {milliseconds{9}, Change::What::stall_end, 0}};
  Link link{stalling};
  send(link, Time{}, 1250);
  send(link, milliseconds{5}, 1250);
  const auto deliveries = run_until(link, seconds{1});
  EXPECT_EQ(deliveries.at(0).at, milliseconds{16});
  EXPECT_EQ(deliveries.at(1).at, milliseconds{26});
}

TEST(Link, StallForEverHasNoNextEvent)
{
  auto stalling = profile(megabit, Time{}, 10'000);
  stalling.schedule = {{Time{}, Change::What::stall_begin, 0}};
  Link link{stalling};
  send(link, milliseconds{1}, 1250);
  EXPECT_EQ(link.next_event(), std::nullopt);
  EXPECT_EQ(link.queued_bytes(seconds{10}), 0U);
}

TEST(Link, OutageLosesWhatIsSentMeanwhile)
{
  auto failing = profile(megabit, milliseconds{100}, 1'000'000);
  failing.schedule = {{milliseconds{35}, Change::What::outage_begin, 0},
                      {milliseconds{75}, Change::What::outage_end, 0}};
  Link link{failing};
  for (std::uint32_t i = 1; i <= 10; ++i) {
    send(link, Time{}, 1250, i); // number i leaves the serialiser at i * 10 ms
  }
  std::vector<std::uint32_t> numbers;
  for (const auto& delivery : run_until(link, seconds{1})) {
    EXPECT_EQ(delivery.at, milliseconds{100 + 10 * delivery.number});
    numbers.push_back(delivery.number);
  }
  EXPECT_EQ(numbers, (std::vector<std::uint32_t>{1, 2, 3, 8, 9, 10}));
  EXPECT_EQ(link.counters().outage_losses, 4U);
  EXPECT_EQ(link.counters().random_losses, 0U);
}

TEST(Link, LossMayBeScheduled)
{
  auto changing = profile(megabit, Time{}, 1'000'000);
  changing.schedule = {{milliseconds{15}, Change::What::random_loss, 1},
                       {milliseconds{35}, Change::What::random_loss, 0}};
  Link link{changing};
  for (std::uint32_t i = 1; i <= 5; ++i) {
    send(link, Time{}, 1250, i);
  }
  EXPECT_EQ(run_until(link, seconds{1}).size(), 3U);
  EXPECT_EQ(link.counters().random_losses, 2U);
}

TEST(Link, ScheduleMayBeStartedAnew)
{
  auto changing = profile(megabit, Time{}, 1'000'000);
  changing.schedule = {{milliseconds{100}, Change::What::rate, 0.1e6}};
  Link link{changing};
  send(link, seconds{1}, 1250);
  EXPECT_EQ(run_until(link, seconds{2}).at(0).at, milliseconds{1100}); // ten times slower by now
  link.restart_schedule(seconds{2});
  send(link, seconds{2}, 1250);
  EXPECT_EQ(run_until(link, seconds{3}).at(0).at, milliseconds{2010});
  send(link, seconds{3}, 1250);
  EXPECT_EQ(run_until(link, seconds{4}).at(0).at, milliseconds{3100});
}

TEST(Link, RestartLosesTheSamePacketsAgain)
{
  auto lossy = profile(100 * megabit, Time{}, 1'000'000);
  lossy.random_loss = 0.1;
  Link link{lossy};
  const auto survivors = [&link](Time start) {
    link.restart_schedule(start);
    for (std::uint32_t i = 0; i < 500; ++i) {
      send(link, start, 100, i);
    }
    std::vector<std::uint32_t> numbers;
    for (const auto& delivery : run_until(link, start + seconds{1})) {
      numbers.push_back(delivery.number);
    }
    return numbers;
  };
  const auto first = survivors(seconds{1});
  EXPECT_LT(first.size(), 480U);
  EXPECT_EQ(survivors(seconds{2}), first);
}

TEST(Link, LostPacketsTakeTheirTimeOfTheLink)
{
  auto lossy = profile(megabit, milliseconds{5}, 10'000'000);
  lossy.random_loss = 0.3;
  lossy.seed = 42;
  Link link{lossy};
  LossModel model{0.3, {}, 42};
  std::vector<std::uint32_t> expected;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    send(link, Time{}, 1250, i);
    if (!model.next_is_lost()) {
      expected.push_back(i);
    }
  }
  std::vector<std::uint32_t> numbers;
  for (const auto& delivery : run_until(link, seconds{60})) {
    EXPECT_EQ(delivery.at, milliseconds{5 + 10 * (delivery.number + 1)});
    numbers.push_back(delivery.number);
  }
  EXPECT_EQ(numbers, expected);
  EXPECT_EQ(link.counters().random_losses, 1000 - expected.size());
}

// Whenever packets arrive and however often the link is polled, a packet leaves the serialiser when its bits are
// through: after the later of its arrival and the departure of the previous one.
TEST(Link, AgreesWithArithmeticOnRandomArrivals)
{
  constexpr BitsPerSecond rate = 7 * megabit;
  constexpr Time delay = milliseconds{30};
  Link link{profile(rate, delay, 1'000'000'000)};
  std::mt19937 random{8};
  std::vector<Delivery> expected;
  std::vector<Delivery> seen;
  Time now{};
  double free_at = 0; // nanoseconds
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    now += microseconds{random() % 2100};
    const auto size = 20 + random() % 1481;
    const auto until_now = run_until(link, now);
    seen.insert(seen.end(), until_now.begin(), until_now.end());
    send(link, now, size, i);
    free_at = std::max(free_at, static_cast<double>(now.count())) + static_cast<double>(size) * 8e9 / rate;
    expected.push_back({Time{std::llround(std::ceil(free_at))} + delay, i});
  }
  const auto rest = run_until(link, now + seconds{100});
  seen.insert(seen.end(), rest.begin(), rest.end());
  ASSERT_EQ(seen.size(), expected.size());
  for (std::size_t i = 0; i < seen.size(); ++i) {
    ASSERT_EQ(seen[i].number, expected[i].number);
    ASSERT_NEAR(static_cast<double>(seen[i].at.count()), static_cast<double>(expected[i].at.count()), 2) << i;
  }
}

TEST(Link, TakesNoMoreWhenNobodyTakesItsPackets)
{
  Link link{profile(100 * megabit, milliseconds{1}, 10'000)};
  Time now{};
  int taken = 0;
  while (link.has_space() && taken < 1'000'000) {
    send(link, now, 1500);
    now += microseconds{200};
    ++taken;
  }
  EXPECT_FALSE(link.has_space());
  EXPECT_TRUE(link.due(now));
  for (int i = 0; i < 10; ++i) { // the block's end may leave a gap
    link.deliver();
  }
  EXPECT_TRUE(link.has_space());
}

} // namespace
} // namespace pepsal::satsim
