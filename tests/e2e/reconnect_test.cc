// A client that resets its connection and connects again at once from the same port, as NFS and rsh clients do.

#include "fixture.hh"

#include "util/socket.hh"
#include "util/system_error.hh"

#include <sys/socket.h>

namespace pepsal::test {

class ReconnectTest : public ConnectionTest
{
protected:
  static constexpr std::uint16_t reserved_port = 700; // some servers refuse clients whose port is not below 1024
  static constexpr int rounds = 50;

  Pair connect_again(const Listener& listener)
  {
    auto client =
        Connection::connect(net().client(), listener.local(), Topology::client_address(family(), reserved_port));
    return {.client = std::move(client), .server = listener.accept()};
  }
};

TEST_P(ReconnectTest, KeepsAReservedPort)
{
  const auto listener = listen_here();
  for (int round = 0; round < rounds; ++round) {
    auto pair = connect_again(listener);
    pair.talk();
    if (GetParam().mode != Mode::redirect) { // with which the box's own ports are seen
      EXPECT_LT(pair.server.remote().port, 1024) << round;
    }
    pair.client.reset();
  }
  expect_proxied(rounds);
}

class TakenPortTest : public ReconnectTest
{};

// Servers that require a port below 1024 get one even if the client's own is not available on the box.
TEST_P(TakenPortTest, IsReplacedByAnotherReservedOne)
{
  const auto listener = listen_here();
  const SocketAddress own{Topology::client_address(family(), reserved_port)};
  TCPSocket taken;
  if (proxied()) {
    const Visit there{net().box().network()};
    taken = TCPSocket{check("socket", ::socket(own.family(), SOCK_STREAM | SOCK_CLOEXEC, 0))};
    taken.set_transparent(own.family());
    check("bind", ::bind(taken.number(), own.get(), own.length()));
  }
  const auto pair = connect_again(listener);
  pair.talk();
  EXPECT_LT(pair.server.remote().port, 1024);
  EXPECT_EQ(pair.server.remote().address_string(), expected_source());
  if (proxied()) {
    EXPECT_NE(pair.server.remote().port, reserved_port);
    EXPECT_EQ(daemon().counter("source_ports_changed"), 1);
    expect_log_lines("source port changed", 1);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TakenPortTest, testing::ValuesIn(modes_that_keep_ports()), arrangement_name);

class AfterResetTest : public ReconnectTest
{};

// Connection tracking may take the new connection for the old one, whose server leg the box resets once it is gone.
TEST_P(AfterResetTest, NewConnectionsWorkWithoutTheDaemon)
{
  const auto listener = listen_here();
  for (const bool by_server : {true, false, true}) {
    SCOPED_TRACE(by_server ? "server" : "client");
    auto pair = connect_again(listener);
    pair.talk();
    (by_server ? pair.server : pair.client).reset();
    EXPECT_EQ(end_of(by_server ? pair.client : pair.server), ECONNRESET);
  }
  if (proxied()) {
    EXPECT_EQ(daemon().stop(), 0);
    forget_daemon();
  }
  const auto direct = connect_again(listener);
  direct.talk();
}

INSTANTIATE_TEST_SUITE_P(All, AfterResetTest, testing::ValuesIn(modes_that_keep_ports()), arrangement_name);

// A server that has closed refuses a SYN that overtakes the reset of the previous connection: it still waits for that
// one's end (FIN-WAIT-2).
TEST_P(ReconnectTest, FollowsTheReset)
{
  const auto listener = listen_here();
  for (int round = 0; round < rounds; ++round) {
    auto pair = connect_again(listener);
    pair.server.close();
    EXPECT_EQ(pair.client.receive_all(), "");
    pair.client.reset();
  }
  expect_proxied(rounds);
  if (proxied()) {
    EXPECT_EQ(daemon().counter("dials_refused"), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ReconnectTest, testing::ValuesIn(every_mode()), arrangement_name);

} // namespace pepsal::test
