// The emulator between two namespaces, seen from UDP sockets of the test itself. Rate and delay are its purpose, so
// here, and only here, they are asserted; as another program may take the processor away, the best of a few runs
// counts. These tests run alone, whatever else is tested.

#include "satsim_fabric.hh"

#include "support/child_process.hh"
#include "support/eventually.hh"
#include "support/root.hh"
#include "support/sandbox.hh"

#include "satsim/loss_model.hh"
#include "satsim/options.hh"
#include "util/endpoint.hh"
#include "util/system_error.hh"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pepsal::test {
namespace {

class Satsim : public RootTest
{};

TEST_F(Satsim, HoldsItsRate)
{
  // 250 Mb/s down, and the upstream rates of the standard scenarios.
  for (const auto& [rate, down] :
       {std::pair{250e6, true}, std::pair{250e6, false}, std::pair{3e6, false}, std::pair{0.5e6, false}}) {
    Fabric fabric{{"--rate-down", fmt::format("{}", rate / 1e6), "--rate-up", fmt::format("{}", rate / 1e6), "--rtt",
                   "20", "--queue-bdp", rate < 1e6 ? "20" : "2"}};
    double best = 0;
    for (int run = 0; run < 5 && best < 0.97 * rate; ++run) {
      const double measured = measure_rate(fabric, down, 1.15 * rate, rate < 1e6 ? seconds{3} : seconds{2});
      std::cout << fmt::format("{} {:.1f} Mb/s: measured {:.2f}\n", down ? "down" : "up", rate / 1e6, measured / 1e6);
      // Arrivals that were delivered late at the beginning shorten the time between first and last.
      EXPECT_LT(measured, 1.02 * rate);
      best = std::max(best, measured);
    }
    EXPECT_GE(best, 0.97 * rate);
  }
}

TEST_F(Satsim, KeepsItsDelayWhenIdle)
{
  Fabric fabric{{"--rate-down", "250", "--rate-up", "250", "--delay-down", "300", "--delay-up", "20"}};
  for (const bool down : {true, false}) {
    const nanoseconds asked = down ? milliseconds{300} : milliseconds{20};
    nanoseconds error = seconds{1};
    for (int run = 0; run < 5 && error > milliseconds{1}; ++run) {
      std::jthread sender{[&] {
        for (std::uint32_t i = 0; i < 200; ++i) {
          down ? fabric.send_down(i, 100) : fabric.send_up(i, 100);
          std::this_thread::sleep_for(milliseconds{3});
        }
      }};
      const auto arrivals = Fabric::receive(down ? fabric.a_socket() : fabric.b_socket(), milliseconds{600});
      ASSERT_EQ(arrivals.size(), 200U);
      EXPECT_GE(quantile(times(arrivals), 0), asked) << "a packet came before its time";
      error = quantile(times(arrivals), 0.5) - asked;
      std::cout << fmt::format("idle, {} ms asked: later by {:.0f} us (median), {:.0f} us (p99)\n",
                               asked / milliseconds{1}, in_microseconds(error),
                               in_microseconds(quantile(times(arrivals), 0.99) - asked));
    }
    EXPECT_LE(error, milliseconds{1});
  }
}

// How much later each packet arrived than over an ideal link: serialised after the previous one, then delayed.
std::vector<nanoseconds> errors_against_ideal(const std::vector<Arrival>& arrivals, double rate, nanoseconds delay)
{
  std::vector<nanoseconds> errors;
  nanoseconds free_at{};
  for (const auto& arrival : arrivals) {
    const nanoseconds serialisation{static_cast<std::int64_t>(static_cast<double>(arrival.ip_bytes) * 8e9 / rate)};
    free_at = std::max(free_at, arrival.sent) + serialisation;
    errors.push_back(arrival.received - free_at - delay);
  }
  return errors;
}

TEST_F(Satsim, KeepsItsDelayUnderLoad)
{
  Fabric fabric{{"--rate-down", "250", "--rate-up", "250", "--rtt", "100"}};
  nanoseconds error = seconds{1};
  for (int run = 0; run < 5 && error > milliseconds{1}; ++run) {
    std::jthread sender{[&] { send_at(fabric.b_socket(), "10.9.0.1", 240e6, seconds{2}); }};
    const auto arrivals = Fabric::receive(fabric.a_socket(), milliseconds{500});
    EXPECT_GE(quantile(times(arrivals), 0), milliseconds{50});
    const auto errors = errors_against_ideal(arrivals, 250e6, milliseconds{50});
    error = quantile(errors, 0.5);
    std::cout << fmt::format("{:.0f} Mb/s carried, 50 ms asked: later by {:.0f} us (median), {:.0f} us (p99)\n",
                             rate_of(arrivals) / 1e6, in_microseconds(error), in_microseconds(quantile(errors, 0.99)));
  }
  EXPECT_LE(error, milliseconds{1});
  const auto fields = fabric.statistics("down");
  std::cout << fmt::format("by its own account: late by {} us (median), {} us (p99), {} us (most)\n",
                           fields.at("late_us_p50"), fields.at("late_us_p99"), fields.at("late_us_max"));
}

// Which of `count` packets in one direction get through.
std::vector<std::uint32_t> survivors(const Fabric& fabric, bool down, std::uint32_t count)
{
  for (std::uint32_t i = 0; i < count; ++i) {
    down ? fabric.send_down(i, 100) : fabric.send_up(i, 100);
    if (i % 100 == 99) {
      std::this_thread::sleep_for(milliseconds{1});
    }
  }
  std::vector<std::uint32_t> numbers;
  for (const auto& arrival : Fabric::receive(down ? fabric.a_socket() : fabric.b_socket(), milliseconds{500})) {
    numbers.push_back(arrival.number);
  }
  return numbers;
}

std::vector<std::uint32_t> expected_survivors(const satsim::Profile& profile, std::uint32_t count)
{
  satsim::LossModel model{profile.random_loss, profile.burst, profile.seed};
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!model.next_is_lost()) {
      numbers.push_back(i);
    }
  }
  return numbers;
}

TEST_F(Satsim, LosesWhatItsSeedSays)
{
  const std::vector<std::string> arguments{"--rate-down", "250", "--rate-up",   "250", "--rtt",        "10",
                                           "--queue-bdp", "10",  "--loss-down", "6",   "--burst-down", "1,25",
                                           "--seed",      "123", "--loss-up",   "1"};
  std::vector<const char*> parsed{"satsim"};
  for (const auto& argument : arguments) {
    parsed.push_back(argument.c_str());
  }
  const auto options = satsim::parse_command_line(static_cast<int>(parsed.size()), parsed.data()).options.value();
  Fabric fabric{arguments};
  const auto down = survivors(fabric, true, 5000);
  EXPECT_EQ(down, expected_survivors(options.down, 5000));
  EXPECT_EQ(survivors(fabric, false, 5000), expected_survivors(options.up, 5000));
  EXPECT_EQ(fabric.statistics("down").at("random_losses"), 5000 - static_cast<long>(down.size()));
  // After SIGUSR2, the same packets are lost again; the program handles the signal before further packets.
  fabric.satsim().signal(SIGUSR2);
  fabric.statistics("down");
  EXPECT_EQ(survivors(fabric, true, 5000), down);
}

TEST_F(Satsim, QueueHoldsItsBytesAndNoMore)
{
  Fabric fabric{{"--rate-down", "1", "--rate-up", "1", "--rtt", "10", "--queue-down", "15000"}};
  for (std::uint32_t i = 0; i < 60; ++i) { // 12 ms a packet on the link
    fabric.send_down(i, 1500);
  }
  const auto arrivals = Fabric::receive(fabric.a_socket(), milliseconds{500});
  const auto fields = fabric.statistics("down");
  EXPECT_EQ(fields.at("offered_packets"), 60);
  EXPECT_EQ(fields.at("peak_queue_bytes"), 15'000);
  EXPECT_GT(fields.at("queue_drops"), 0);
  EXPECT_EQ(fields.at("packets"), 60 - fields.at("queue_drops"));
  EXPECT_EQ(static_cast<long>(arrivals.size()), fields.at("packets"));
  EXPECT_EQ(fields.at("bytes"), 1500 * fields.at("packets"));
  EXPECT_EQ(fields.at("device_overruns"), 0);
  for (std::uint32_t i = 0; i < 11; ++i) { // one being sent and ten waiting
    EXPECT_EQ(arrivals.at(i).number, i) << "drop-tail keeps those that came first";
  }
}

TEST_F(Satsim, RateFollowsItsSchedule)
{
  // From 8 Mb/s to 2 after a second: as many bytes in the second one as in a quarter of the first.
  Fabric fabric{
      {"--rate-down", "8", "--rate-up", "1", "--rtt", "10", "--queue-down", "10000000", "--schedule", "1:down:rate=2"}};
  fabric.satsim().signal(SIGUSR2);
  fabric.statistics("down");
  const auto start = wall_clock();
  for (std::uint32_t i = 0; i < 1400; ++i) {
    fabric.send_down(i, 1000);
  }
  // speed.
  sleep_until(start + milliseconds{1900});
  const auto arrivals = Fabric::receive(fabric.a_socket(), milliseconds{1});
  const auto within = [&](milliseconds from, milliseconds to) {
    return std::ranges::count_if(arrivals, [&](const Arrival& arrival) {
      return arrival.received >= start + from && arrival.received < start + to;
    });
  };
  EXPECT_NEAR(static_cast<double>(within(milliseconds{300}, milliseconds{800})), 500, 50);
  EXPECT_NEAR(static_cast<double>(within(milliseconds{1200}, milliseconds{1700})), 125, 13);
}

TEST_F(Satsim, OutageLosesEverythingAndEnds)
{
  Fabric fabric{{"--rate-down", "8", "--rate-up", "8", "--rtt", "0", "--queue-down", "99999", "--queue-up", "99999",
                 "--schedule", "0.4:both:outage=0.5"}};
  fabric.satsim().signal(SIGUSR2);
  fabric.statistics("down");
  const auto start = wall_clock();
  std::jthread sender{[&] {
    for (std::uint32_t i = 0; i < 150; ++i) {
      sleep_until(start + i * milliseconds{10});
      fabric.send_down(i, 100);
      fabric.send_up(i, 100);
    }
  }};
  for (const int socket : {fabric.a_socket(), fabric.b_socket()}) {
    const auto arrivals = Fabric::receive(socket, milliseconds{800});
    const auto within = [&](milliseconds from, milliseconds to) {
      return std::ranges::count_if(
          arrivals, [&](const Arrival& arrival) { return arrival.sent >= start + from && arrival.sent < start + to; });
    };
    EXPECT_GT(within(milliseconds{0}, milliseconds{350}), 0);
    EXPECT_EQ(within(milliseconds{450}, milliseconds{800}), 0);
    EXPECT_GT(within(milliseconds{1000}, milliseconds{1500}), 0);
  }
  sender.join();
  const auto fields = fabric.statistics("down");
  EXPECT_GT(fields.at("outage_losses"), 0);
  EXPECT_EQ(fields.at("outage_losses") + fields.at("packets"), 150);
}

TEST_F(Satsim, ItsDevicesTakePartInGro)
{
  Fabric fabric{{"--rate-down", "100", "--rate-up", "100", "--rtt", "10"}};
  const Sandbox sandbox{fabric.a()}; // for its /sys
  const auto in_a = [&](std::vector<std::string> arguments) {
    return ChildProcess{{.arguments = std::move(arguments), .network = &fabric.a(), .sandbox = &sandbox}}.finish();
  };
  // Acknowledgements for each packet of data in one download.
  const auto acknowledged = [&] {
    const auto before =
        std::pair{fabric.statistics("down").at("packets"), fabric.statistics("up").at("offered_packets")};
    ChildProcess server{{.arguments = {"iperf3", "-s", "-1", "--forceflush"}, .network = &fabric.b()}};
    eventually([&] { return server.out().find("listening") != std::string::npos || !server.is_running(); });
    const auto client = in_a({"iperf3", "-c", "10.9.0.2", "-R", "-n", "15M"});
    EXPECT_EQ(client.status, 0) << client.out << client.err;
    const auto packets = fabric.statistics("down").at("packets") - before.first;
    EXPECT_GT(packets, 10'000);
    return static_cast<double>(fabric.statistics("up").at("offered_packets") - before.second) /
           static_cast<double>(packets);
  };
  const double alone = acknowledged();
  for (const auto* setting : {"echo 100 >/sys/class/net/sat0/napi_defer_hard_irqs",
                              "echo 5000000 >/sys/class/net/sat0/gro_flush_timeout"}) { // ns: some 40 packets
    ASSERT_EQ(in_a({"sh", "-c", setting}).status, 0);
  }
  // Packets that GRO has merged are acknowledged together.
  const double merged = acknowledged();
  EXPECT_LT(merged, alone / 2);
}

TEST_F(Satsim, CarriesIpv6)
{
  Fabric fabric{{"--rate-down", "10", "--rate-up", "10", "--rtt", "10"}};
  const auto socket_in = [](const NetworkNamespace& network, const char* address) {
    const Visit visit{network};
    FileDescriptor socket{check("socket", ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0))};
    const SocketAddress local{*Endpoint::parse(address, port)};
    check("bind", ::bind(socket.number(), local.get(), local.length()));
    return socket;
  };
  const auto a = socket_in(fabric.a(), "fd00:9::1");
  const auto b = socket_in(fabric.b(), "fd00:9::2");
  const SocketAddress to{*Endpoint::parse("fd00:9::2", port)};
  check("sendto", ::sendto(a.number(), "hello", 5, 0, to.get(), to.length()));
  pollfd readable{.fd = b.number(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&readable, 1, 5000), 1);
}

TEST_F(Satsim, LogsItsQueues)
{
  const auto path = fmt::format("/tmp/satsim_test.{}.csv", getpid());
  {
    Fabric fabric{{"--rate-down", "1", "--rate-up", "1", "--rtt", "10", "--queue-down", "30000", "--log-queue", path}};
    for (std::uint32_t i = 0; i < 21; ++i) {
      fabric.send_down(i, 1500);
    }
    Fabric::receive(fabric.a_socket(), milliseconds{300});
    fabric.satsim().signal(SIGTERM);
    ASSERT_EQ(fabric.satsim().wait(), 0);
  }
  const FileDescriptor file{check("open", ::open(path.c_str(), O_RDONLY | O_CLOEXEC))};
  ::unlink(path.c_str());
  std::string text(100'000, '\0');
  text.resize(static_cast<std::size_t>(check("read", ::read(file.number(), text.data(), text.size()))));
  std::istringstream lines{text};
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "seconds,down_queue_bytes,up_queue_bytes,down_delivered_bytes,up_delivered_bytes");
  long most = 0;
  long last_bytes = 0;
  int rows = 0;
  while (std::getline(lines, line)) {
    std::istringstream fields{line};
    double time{};
    long down{};
    long up{};
    char comma{};
    ASSERT_TRUE(fields >> time >> comma >> down >> comma >> up >> comma >> last_bytes) << line;
    most = std::max(most, down);
    ++rows;
  }
  EXPECT_GT(rows, 10);
  EXPECT_GT(most, 20'000);
  EXPECT_LE(most, 30'000);
  EXPECT_EQ(last_bytes, 21 * 1500);
}

} // namespace
} // namespace pepsal::test
