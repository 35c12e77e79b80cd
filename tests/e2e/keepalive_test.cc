// Keepalives: what a peer sends on one leg is repeated on the other, and the box's own are sent at the configured
// interval. Each case covers both directions, and is also run without the proxy if the network alone does the same.

#include "fixture.hh"

#include <thread>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace pepsal::test {

using namespace std::chrono_literals;

class KeepaliveTest : public ConnectionTest
{
protected:
  static void ask_every_two_seconds(const Connection& connection)
  {
    constexpr int on = 1;
    constexpr int seconds = 2;
    ASSERT_EQ(::setsockopt(connection.number(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
    ASSERT_EQ(::setsockopt(connection.number(), IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds), 0);
    ASSERT_EQ(::setsockopt(connection.number(), IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds), 0);
  }

  void count_arrivals(const Host& host)
  {
    for (const auto* program : {"iptables", "ip6tables"}) {
      host.must_run({program, "-w", "-I", "INPUT", "-p", "tcp"});
    }
  }

  // Packets since count_arrivals().
  long arrivals(const Host& host)
  {
    const auto* program = family() == Family::ipv4 ? "iptables" : "ip6tables";
    const auto rules = host.must_run({program, "-w", "-nvxL", "INPUT"});
    return std::stol(rules.substr(rules.find('\n', rules.find('\n') + 1)));
  }

  // Checks that what one host sends to keep the connection alive makes something arrive at the other again and again.
  void expect_passed(const Connection& asking, const Host& asked_host)
  {
    constexpr int probes = 4;
    ask_every_two_seconds(asking);
    count_arrivals(asked_host);
    EXPECT_TRUE(eventually([&] { return arrivals(asked_host) >= probes; }));
  }
};

TEST_P(KeepaliveTest, OfTheClientReachTheServer)
{
  const auto listener = listen_here();
  const auto pair = connect(listener);
  pair.talk();
  expect_passed(pair.client, net().server());
  pair.talk();
}

TEST_P(KeepaliveTest, OfTheServerReachTheClient)
{
  const auto listener = listen_here();
  const auto pair = connect(listener);
  pair.talk();
  expect_passed(pair.server, net().client());
  pair.talk();
}

// RFC 9293 section 3.8.4. Unasked by either peer, and for as long as the connection is idle.
class OwnKeepaliveTest : public KeepaliveTest
{
protected:
  DaemonOptions daemon_options() const override { return {.arguments = {"--terrestrial-keepalive", "10"}}; }
};

TEST_P(OwnKeepaliveTest, GoOnAtTheirInterval)
{
  constexpr long probes = 3;
  const auto listener = listen_here();
  const auto pair = connect(listener);
  pair.talk();
  for (const auto* host : {&net().client(), &net().server()}) {
    count_arrivals(*host);
  }
  std::this_thread::sleep_for(35s);
  for (const auto* host : {&net().client(), &net().server()}) {
    EXPECT_GE(arrivals(*host), probes);
    EXPECT_LE(arrivals(*host), probes + 1); // the acknowledgement of the last data may be one
  }
  pair.talk();
}

INSTANTIATE_TEST_SUITE_P(Proxied, OwnKeepaliveTest, testing::ValuesIn(proxied_modes()), arrangement_name);

INSTANTIATE_TEST_SUITE_P(All, KeepaliveTest, testing::ValuesIn(every_mode()), arrangement_name);

} // namespace pepsal::test
