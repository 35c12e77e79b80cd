#include "proxy/peer_leg.hh"

#include <thread>

#include <gtest/gtest.h>

#include "loopback.hh"
#include "peer/answer.hh"

namespace pepsal::test {
namespace {

class PeerLegTest : public testing::Test
{
protected:
  // A warm connection waits in the queue: its other end is `there`.
  PeerLegTest()
  {
    queue_.give(warm_.peer, 1);
    warm_.peer.close();
  }

  PeerLeg dial(const Endpoint& peer)
  {
    const Connection connection{
        .client = *Endpoint::parse("192.0.2.1", 40000), .server = *Endpoint::parse("198.51.100.1", 80), .syn = {}};
    Link link;
    link.interface = "sat0";
    return dial_by_peer(config_, table_, queue_, {.address = peer}, connection, client_.proxy, link, 0);
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
  send_all(client_.peer, "question");
  const PeerAnswer connected{.kind = PeerAnswer::Kind::connected};
  const auto answer = connected.encode();
  std::jthread peer{[&] {
    pollfd readable{.fd = warm_.proxy.number(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, 5000);
    ::send(warm_.proxy.number(), answer.data(), answer.size(), MSG_NOSIGNAL);
  }};
  EXPECT_EQ(dial(warm_.proxy.local_endpoint()).end, PeerLeg::End::connected);
}

// A process that could put a connection of its own into the queue would have clients led to where it likes.
TEST_F(PeerLegTest, ConnectionToSomebodyElseIsNotUsed)
{
  send_all(client_.peer, "question");
  EXPECT_EQ(dial(*Endpoint::parse("192.0.2.9", 5001)).end, PeerLeg::End::unused);
  std::byte any{};
  EXPECT_LE(::recv(warm_.proxy.number(), &any, 1, MSG_DONTWAIT), 0) << "something was sent there";
  EXPECT_EQ(receive(client_.proxy, 8), "question") << "it is still the client's to send";
}

} // namespace
} // namespace pepsal::test
