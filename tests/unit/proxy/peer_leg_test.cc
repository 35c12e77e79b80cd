#include "proxy/peer_leg.hh"

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "loopback.hh"
#include "peer/answer.hh"

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

class PeerLegTest : public testing::Test
{
protected:
  // A warm connection waits in the queue: its other end is `there`.
  PeerLegTest()
  {
    queue_.give(warm_.host, 1);
    warm_.host.close();
  }

  PeerLeg dial(const Endpoint& peer)
  {
    const Connection connection{
        .client = *Endpoint::parse("192.0.2.1", 40000), .server = *Endpoint::parse("198.51.100.1", 80), .syn = {}};
    Link link;
    link.interface = "sat0";
    return dial_by_peer(config_, table_, queue_, {.address = peer}, connection, client_.proxy, link, 0);
  }

  // Takes what arrives there until it is this much, ends, or nothing arrives for a moment, and answers.
  void take_and_answer(std::size_t bytes, PeerAnswer::Kind kind, std::uint16_t error = 0)
  {
    std::vector<char> any(65536);
    pollfd readable{.fd = warm_.proxy.number(), .events = POLLIN, .revents = 0};
    for (std::size_t taken = 0; taken < bytes && ::poll(&readable, 1, taken == 0 ? 5000 : 2000) == 1;) {
      const auto piece = ::recv(warm_.proxy.number(), any.data(), any.size(), MSG_DONTWAIT);
      if (piece <= 0) {
        break;
      }
      taken += static_cast<std::size_t>(piece);
    }
    const auto answer = PeerAnswer{.kind = kind, .error = error}.encode();
    ::send(warm_.proxy.number(), answer.data(), answer.size(), MSG_NOSIGNAL);
  }

  Config config_;
  SharedSegment segment_{SharedSegment::anonymous({.max_connections = 64, .processes = 8})};
  ConnectionTable table_{segment_};
  WarmQueue queue_;
  LoopbackEnds warm_{make_ends()};
  LoopbackEnds client_{make_ends()};
};

TEST_F(PeerLegTest, WarmConnectionOfThePeerCarriesTheClient)
{
  send_all(client_.host, "question");
  const std::jthread peer{[&] { take_and_answer(1, PeerAnswer::Kind::connected); }};
  EXPECT_EQ(dial(warm_.proxy.local_endpoint()).end, PeerLeg::End::connected);
}

// On a second look, a socket that was reset seems to have ended in good order.
TEST_F(PeerLegTest, NobodyIsDialledForAClientThatHasSentNothingButAReset)
{
  reset(client_.host);
  EXPECT_EQ(dial(warm_.proxy.local_endpoint()).end, PeerLeg::End::client_gone);
  std::byte any{};
  EXPECT_LE(::recv(warm_.proxy.number(), &any, 1, MSG_DONTWAIT), 0) << "something was sent there";
}

// Its control: one that ends without sending anything is carried, because its server may speak.
TEST_F(PeerLegTest, ClientThatHasSentNothingButItsEndIsCarried)
{
  end_sending(client_.host);
  const std::jthread peer{[&] { take_and_answer(1, PeerAnswer::Kind::connected); }};
  EXPECT_EQ(dial(warm_.proxy.local_endpoint()).end, PeerLeg::End::connected);
}

// For a box between two peers that must tell the near one.
TEST_F(PeerLegTest, FailedDialKeepsItsError)
{
  const std::jthread peer{[&] { take_and_answer(1, PeerAnswer::Kind::dial_failed, ECONNREFUSED); }};
  const auto leg = dial(warm_.proxy.local_endpoint());
  EXPECT_EQ(leg.end, PeerLeg::End::failed);
  EXPECT_EQ(leg.reason, "dial-refused-at-peer");
  EXPECT_EQ(leg.error, ECONNREFUSED);
}

// A far side that acknowledges is waiting for its server. Only this connection is given up, none of its others.
TEST_F(PeerLegTest, SilentDialEndsNoOtherConnections)
{
  config_.connect_timeout = -4s; // and five for the answer to arrive
  const auto leg = dial(warm_.proxy.local_endpoint());
  EXPECT_EQ(leg.reason, "peer-silent");
  const auto taken = queue_.next_notice();
  EXPECT_TRUE(taken && !taken->lost);
  EXPECT_FALSE(queue_.next_notice()) << "reported as lost";
}

// Its control: after a reset, nobody knows what the peer has received.
TEST_F(PeerLegTest, ResetBeforeTheAnswerIsReported)
{
  const auto there = warm_.proxy.local_endpoint();
  send_all(client_.host, "question");
  const std::jthread peer{[&] {
    pollfd readable{.fd = warm_.proxy.number(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, 5000);
    reset(warm_.proxy);
  }};
  EXPECT_EQ(dial(there).reason, "peer-lost");
  queue_.next_notice(); // that it was taken
  const auto lost = queue_.next_notice();
  EXPECT_TRUE(lost && lost->lost);
}

// A client that has sent a lot when the far proxy turns out to be retired.
TEST_F(PeerLegTest, AllThatARetiredOneHasNotReadIsSentAgain)
{
  std::string upload(1'000'000, 'x');
  for (std::size_t i = 0; i < upload.size(); ++i) {
    upload[i] = static_cast<char>(i * 7 / 13);
  }
  const std::jthread client{[&] { send_all(client_.host, upload); }};
  const std::jthread peer{[&] { take_and_answer(2 * upload.size(), PeerAnswer::Kind::retired); }};
  const auto leg = dial(warm_.proxy.local_endpoint());
  EXPECT_EQ(leg.end, PeerLeg::End::unused);
  EXPECT_TRUE(std::string(reinterpret_cast<const char*>(leg.unsent.data()), leg.unsent.size()) == upload);
}

// The link's rates are unknown.
TEST_F(PeerLegTest, NoMoreIsSentBeforeTheAnswerThanIsKept)
{
  constexpr std::size_t most_kept = 4 * 1024 * 1024;
  const std::string upload(8'000'000, 'x');
  std::jthread client{[&] {
    try {
      send_all(client_.host, upload);
    } catch (const SystemError&) { // it is closed in the end
    }
  }};
  {
    const std::jthread peer{[&] { take_and_answer(upload.size(), PeerAnswer::Kind::connected); }};
    const auto leg = dial(warm_.proxy.local_endpoint());
    EXPECT_EQ(leg.end, PeerLeg::End::connected);
    EXPECT_LE(leg.first_bytes, most_kept);
    EXPECT_GT(leg.first_bytes, most_kept / 2) << "the peer gave it time for all of it";
  }
  client_.proxy.close();
}

// A process that could put its own connection into the queue could redirect clients anywhere.
TEST_F(PeerLegTest, ConnectionToSomebodyElseIsNotUsed)
{
  send_all(client_.host, "question");
  EXPECT_EQ(dial(*Endpoint::parse("192.0.2.9", 5001)).end, PeerLeg::End::unused);
  std::byte any{};
  EXPECT_LE(::recv(warm_.proxy.number(), &any, 1, MSG_DONTWAIT), 0) << "something was sent there";
  EXPECT_EQ(receive(client_.proxy, 8), "question") << "it is still the client's to send";
}

} // namespace
} // namespace pepsal::test
