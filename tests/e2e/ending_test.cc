// How connections end when a host is slow, pauses, vanishes or forgets. What was sent in good order arrives; a host
// that answers is kept, one that does not answer is given up. Each case covers both directions, and is also run without
// the proxy if the network alone does the same.

#include "fixture.hh"

#include <cerrno>
#include <thread>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace pepsal::test {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t held_bytes = 200'000; // more than a small receiver takes, less than the box's sockets do

// Waits, without reading, until a socket's connection is broken; then returns its error.
int error_without_reading(const Connection& connection)
{
  pollfd broken{.fd = connection.number(), .events = 0, .revents = 0};
  EXPECT_EQ(::poll(&broken, 1, static_cast<int>(std::chrono::milliseconds{patience}.count())), 1);
  int error = 0;
  socklen_t length = sizeof error;
  EXPECT_EQ(::getsockopt(connection.number(), SOL_SOCKET, SO_ERROR, &error, &length), 0);
  return error;
}

} // namespace

// Two connections, one for each direction of what is sent.
class EndingTest : public ConnectionTest
{
protected:
  DaemonOptions daemon_options() const override
  {
    return {.arguments = {"--terrestrial-keepalive", "10", "--terrestrial-user-timeout", "10"}};
  }

  void SetUp() override
  {
    ConnectionTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    listener_.emplace(listen_here());
  }

  struct Transfer
  {
    Connection sender;
    Connection receiver;
    const Host& sending_host;
    std::uint64_t seed;
  };

  Transfer download(std::uint64_t seed)
  {
    auto pair = connect(*listener_);
    return {std::move(pair.server), std::move(pair.client), net().server(), seed};
  }

  Transfer upload(std::uint64_t seed)
  {
    auto pair = connect(*listener_);
    return {std::move(pair.client), std::move(pair.server), net().client(), seed};
  }

  // One in each direction, where the receiver has not taken everything that was sent.
  std::vector<Transfer> held_transfers()
  {
    std::vector<Transfer> transfers;
    transfers.push_back(download(1));
    transfers.push_back(upload(2));
    for (auto& transfer : transfers) {
      transfer.receiver.set_receive_buffer(small_receive_buffer);
      transfer.sender.send_stream(transfer.seed, held_bytes);
    }
    return transfers;
  }

  // The host's packets vanish, in both directions; and get through again.
  static void cut_off(const Host& host) { change_firewall(host, "-I", {"INPUT", "OUTPUT"}); }
  static void reconnect(const Host& host) { change_firewall(host, "-D", {"INPUT", "OUTPUT"}); }

  std::optional<Listener> listener_;
};

// A sender that has closed forgets the connection (tcp_fin_timeout) while the receiver is still reading. Long before
// the receiver continues, the box has probed all hosts, which it does every ten seconds.
TEST_P(EndingTest, SenderThatForgotDoesNotCutItsTransfer)
{
  net().server().set_sysctl("ipv4/tcp_fin_timeout", "1");
  net().client().set_sysctl("ipv4/tcp_fin_timeout", "1");
  auto transfers = held_transfers();
  for (auto& transfer : transfers) {
    transfer.sender.close();
  }
  if (proxied()) {
    for (auto& transfer : transfers) { // the receiving end of the other transfer is on the same host
      EXPECT_TRUE(eventually([&] {
        return transfer.sending_host.must_run({"ss", "-Hant", "state", "fin-wait-1", "state", "fin-wait-2"}).empty();
      }));
    }
  }
  std::this_thread::sleep_for(13s);
  for (auto& transfer : transfers) {
    EXPECT_EQ(transfer.receiver.receive_stream(transfer.seed), held_bytes);
    transfer.receiver.close();
  }
  expect_closing_lines(2);
  if (proxied()) {
    expect_log_lines("reason=finished", 2);
  }
}

// It answers each probe with a closed window; RFC 9293 section 3.8.6.1: the connection stays.
TEST_P(EndingTest, PausedReceiverLives)
{
  std::vector<Transfer> transfers;
  transfers.push_back(download(1));
  transfers.push_back(upload(2));
  std::vector<std::future<void>> sending;
  constexpr std::size_t bytes = 20'000'000; // more than all sockets take
  for (auto& transfer : transfers) {
    transfer.receiver.set_receive_buffer(small_receive_buffer);
    sending.push_back(in_background(
        [&transfer] { transfer.sender.send_stream(transfer.seed, bytes), transfer.sender.end_sending(); }));
  }
  std::this_thread::sleep_for(13s);
  std::vector<std::future<std::size_t>> receiving;
  for (auto& transfer : transfers) {
    constexpr int ample = 4 * 1024 * 1024;
    transfer.receiver.set_receive_buffer(ample);
    receiving.push_back(in_background([&transfer] { return transfer.receiver.receive_stream(transfer.seed); }));
  }
  for (auto& each : receiving) {
    EXPECT_EQ(each.get(), bytes);
  }
  for (auto& each : sending) {
    each.get();
  }
}

// The other side is silent, but is told nevertheless.
TEST_P(EndingTest, ResetAfterAHalfCloseReachesTheOther)
{
  std::vector<Transfer> transfers;
  transfers.push_back(download(1));
  transfers.push_back(upload(2));
  for (auto& transfer : transfers) {
    transfer.sender.send("all I have to say");
    transfer.sender.end_sending();
    EXPECT_EQ(transfer.receiver.receive_all(), "all I have to say");
    transfer.sender.reset();
    EXPECT_EQ(error_without_reading(transfer.receiver), EPIPE);
  }
  expect_closing_lines(2);
}

INSTANTIATE_TEST_SUITE_P(All, EndingTest, testing::ValuesIn(every_mode()), arrangement_name);

class ProxiedEndingTest : public EndingTest
{
protected:
  // The receiving host disappears: each connection ends at its sender, and is logged once.
  void expect_given_up(const Transfer& busy, const Transfer& idle, const Host& host, const std::string& reason)
  {
    auto sending = in_background([&] {
      const std::string block(65536, 'x');
      return error_of([&] {
        for (;;) {
          busy.sender.send(block);
        }
      });
    });
    EXPECT_EQ(busy.receiver.receive_text(100'000).size(), 100'000);
    cut_off(host);
    const auto error = sending.get();
    EXPECT_TRUE(error == ECONNRESET || error == EPIPE) << error;
    EXPECT_EQ(end_of(idle.sender), ECONNRESET);
    expect_closing_lines(2);
    expect_log_lines("closed client=", 2);
    expect_log_lines(reason, 2);
  }
};

// A reset waits for what arrived before it to be delivered, as long as the receiver answers.
TEST_P(ProxiedEndingTest, SlowReceiverGetsAllThatCameBeforeAReset)
{
  auto transfers = held_transfers();
  const auto acknowledged = [](const Connection& connection) {
    tcp_info info{};
    socklen_t length = sizeof info;
    return ::getsockopt(connection.number(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_unacked == 0;
  };
  for (auto& transfer : transfers) {
    EXPECT_TRUE(eventually([&] { return acknowledged(transfer.sender); }));
    transfer.sender.reset();
  }
  std::this_thread::sleep_for(8s);
  for (auto& transfer : transfers) {
    Stream expected{transfer.seed};
    std::vector<std::byte> buffer(16 * 1024);
    const int end = error_of([&] {
      for (auto part = transfer.receiver.receive(buffer); !part.empty(); part = transfer.receiver.receive(buffer)) {
        ASSERT_TRUE(expected.matches(part)) << "before byte " << expected.position();
      }
    });
    EXPECT_EQ(end, ECONNRESET);
    EXPECT_EQ(expected.position(), held_bytes);
  }
}

// Neither data nor silence hides that nobody is there.
TEST_P(ProxiedEndingTest, AClientThatDoesNotAnswerIsGivenUp)
{
  expect_given_up(download(1), download(2), net().client(), "reason=timeout-of-client");
}

TEST_P(ProxiedEndingTest, AServerThatDoesNotAnswerIsGivenUp)
{
  expect_given_up(upload(1), upload(2), net().server(), "reason=timeout-of-server");
}

INSTANTIATE_TEST_SUITE_P(Proxied, ProxiedEndingTest, testing::ValuesIn(proxied_modes()), arrangement_name);

// A fade that lasts more than two keepalive intervals, but not the user timeout.
class FadeTest : public EndingTest
{
protected:
  DaemonOptions daemon_options() const override
  {
    return {.arguments = {"--terrestrial-keepalive", "10", "--terrestrial-user-timeout", "60"}};
  }

  // Connections that are idle, and that send in either direction, while one host cannot be reached.
  void expect_to_outlive_a_fade(const Host& host)
  {
    constexpr std::size_t bytes = 20'000'000; // more than all sockets take
    const auto idle = connect(*listener_);
    idle.talk();
    std::vector<Transfer> transfers;
    transfers.push_back(download(1));
    transfers.push_back(upload(2));
    cut_off(host);
    std::vector<std::future<void>> sending;
    std::vector<std::future<std::size_t>> receiving;
    for (auto& transfer : transfers) {
      sending.push_back(in_background(
          [&transfer] { transfer.sender.send_stream(transfer.seed, bytes), transfer.sender.end_sending(); }));
      receiving.push_back(in_background([&transfer] { return transfer.receiver.receive_stream(transfer.seed); }));
    }
    std::this_thread::sleep_for(25s);
    reconnect(host);
    for (auto& each : receiving) {
      EXPECT_EQ(each.get(), bytes);
    }
    for (auto& each : sending) {
      each.get();
    }
    idle.talk();
    if (proxied()) {
      EXPECT_EQ(daemon().log_lines("reason=timeout"), 0);
    }
  }
};

TEST_P(FadeTest, OfTheClientEndsNothing)
{
  expect_to_outlive_a_fade(net().client());
}

TEST_P(FadeTest, OfTheServerEndsNothing)
{
  expect_to_outlive_a_fade(net().server());
}

INSTANTIATE_TEST_SUITE_P(All, FadeTest, testing::ValuesIn(every_mode()), arrangement_name);

} // namespace pepsal::test
