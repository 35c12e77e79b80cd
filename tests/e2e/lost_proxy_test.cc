// What hosts see when a connection's process is killed while they lack packets, or have ended: each gets everything due
// to it, or a reset that it accepts. None waits forever.

#include "fixture.hh"

#include <cerrno>
#include <regex>

#include <fmt/format.h>

namespace pepsal::test {

class LostProxyTest : public ConnectionTest
{
protected:
  // Packets to a host vanish; and get through again.
  static void cut_off(const Host& host) { change_firewall(host, "-I", {"INPUT"}); }
  static void reconnect(const Host& host) { change_firewall(host, "-D", {"INPUT"}); }

  // Waits until the box has a leg in this state of which everything has been read, and whose host has not acknowledged
  // this many bytes.
  bool box_has(const char* state, const char* unacknowledged)
  {
    const std::regex leg{fmt::format("(^|\\n)0 +{} ", unacknowledged)};
    return eventually([&] { return std::regex_search(net().box().must_run({"ss", "-Hant", "state", state}), leg); });
  }
  static constexpr auto some = "[1-9][0-9]*";
};

// The host sends a challenge ACK (RFC 5961 section 3.2).
TEST_P(LostProxyTest, ResetIsBelievedByAHostThatLacksPackets)
{
  const auto listener = listen_here();
  for (const bool at_client : {true, false}) {
    SCOPED_TRACE(at_client ? "client" : "server");
    const auto pair = connect(listener);
    pair.talk();
    const auto proxy = proxy_of(pair.client);
    const auto& host = at_client ? net().client() : net().server();
    cut_off(host);
    (at_client ? pair.server : pair.client).send("lost");
    EXPECT_TRUE(box_has("established", "4"));
    reconnect(host);
    kill(proxy);
    EXPECT_EQ(end_of(pair.client), ECONNRESET);
    EXPECT_EQ(end_of(pair.server), ECONNRESET);
  }
}

// The client in TIME_WAIT would answer the server's challenge as if all were well.
TEST_P(LostProxyTest, ResetIsBelievedWhenTheClientHasEnded)
{
  net().box().set_sysctl("ipv4/tcp_wmem", "4096 16384 16384");
  const auto listener = listen_here();
  const auto pair = connect(listener);
  pair.talk();
  const auto proxy = proxy_of(pair.client);
  cut_off(net().server());
  constexpr std::size_t bytes = 80'000; // more than the box's kernel takes for the server, less than of the client
  pair.client.send_stream(1, bytes);
  pair.client.end_sending();
  pair.server.end_sending();
  EXPECT_EQ(pair.client.receive_all(), "");
  EXPECT_TRUE(eventually([&] { return !net().client().must_run({"ss", "-Hant", "state", "time-wait"}).empty(); }));
  reconnect(net().server());
  kill(proxy);
  EXPECT_EQ(end_of(pair.server), ECONNRESET);
}

// Once both hosts have said everything, and the box's kernel has it, the loss of the process costs nobody anything.
TEST_P(LostProxyTest, WhatBothHaveSaidArrives)
{
  constexpr std::size_t bytes = 200'000; // more than a small receiver takes, less than the box's sockets do
  net().box().set_sysctl("ipv4/tcp_wmem", "4096 1000000 4000000");
  const auto listener = listen_here();
  for (const bool receiver_ends_first : {true, false}) {
    for (const bool down : {true, false}) {
      SCOPED_TRACE(fmt::format("{}, receiver ends {}", down ? "down" : "up", receiver_ends_first ? "first" : "last"));
      const auto pair = connect(listener);
      const auto& sender = down ? pair.server : pair.client;
      const auto& receiver = down ? pair.client : pair.server;
      receiver.set_receive_buffer(small_receive_buffer);
      pair.talk();
      const auto proxy = proxy_of(pair.client);
      if (receiver_ends_first) {
        receiver.end_sending();
        EXPECT_EQ(sender.receive_all(), "");
      }
      sender.send_stream(1, bytes);
      sender.end_sending();
      if (!receiver_ends_first) {
        EXPECT_TRUE(box_has("fin-wait-1", some));
        receiver.end_sending();
        EXPECT_EQ(sender.receive_all(), "");
      }
      EXPECT_TRUE(box_has(receiver_ends_first ? "last-ack" : "closing", some));
      kill(proxy);
      EXPECT_EQ(receiver.receive_stream(1), bytes);
    }
  }
}

// In LAST_ACK, the kernel sends no reset once everything has been sent, whether it has arrived or not.
TEST_P(LostProxyTest, LastWordsAreSentAgain)
{
  constexpr std::size_t bytes = 60'000; // keeps the process until the server takes them
  const auto listener = listen_here();
  const auto pair = connect(listener);
  pair.server.set_receive_buffer(small_receive_buffer);
  pair.talk();
  const auto proxy = proxy_of(pair.client);
  pair.client.send_stream(1, bytes);
  pair.client.end_sending();
  EXPECT_TRUE(box_has("fin-wait-1", some));
  cut_off(net().client());
  pair.server.send("last words");
  pair.server.end_sending();
  EXPECT_TRUE(box_has("last-ack", "11")); // with the FIN
  reconnect(net().client());
  kill(proxy);
  EXPECT_EQ(pair.client.receive_all(), "last words");
  EXPECT_EQ(pair.server.receive_stream(1), bytes);
}

INSTANTIATE_TEST_SUITE_P(Proxied, LostProxyTest, testing::ValuesIn(proxied_modes_and_masquerade()), arrangement_name);

} // namespace pepsal::test
