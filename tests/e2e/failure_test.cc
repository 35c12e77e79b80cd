// What goes wrong between the hosts: resets, refused and unreachable destinations. The rule is that nobody sees a false
// clean end.

#include "fixture.hh"

#include <cerrno>

#include <sys/socket.h>

namespace pepsal::test {

class ResetTest : public ConnectionTest
{};

TEST_P(ResetTest, ByTheClientReachesTheServer)
{
  const auto listener = listen_here();
  auto [client, server] = connect(listener);
  client.send("question");
  EXPECT_EQ(server.receive_text(8), "question");
  client.reset();
  EXPECT_EQ(end_of(server), ECONNRESET);
  expect_proxied(1);
  expect_closing_lines(1);
}

TEST_P(ResetTest, ByTheServerReachesTheClient)
{
  const auto listener = listen_here();
  auto [client, server] = connect(listener);
  server.send("answer");
  EXPECT_EQ(client.receive_text(6), "answer");
  server.reset();
  EXPECT_EQ(end_of(client), ECONNRESET);
  expect_proxied(1);
  expect_closing_lines(1);
}

TEST_P(ResetTest, BehindAFullPipe)
{
  const auto listener = listen_here();
  auto [client, server] = connect(listener);
  // As much as can be sent without anybody reading.
  const std::string block(65536, 'x');
  while (eventually(
      [&, &client = client] { return ::send(client.number(), block.data(), block.size(), MSG_DONTWAIT) > 0; },
      std::chrono::milliseconds{500})) {
  }
  client.reset();
  EXPECT_EQ(end_of(server), ECONNRESET);
}

TEST_P(ResetTest, AfterAHalfClose)
{
  const auto listener = listen_here();
  auto [client, server] = connect(listener);
  client.send("question");
  client.end_sending();
  EXPECT_EQ(server.receive_all(), "question");
  server.send("half an answer");
  EXPECT_EQ(client.receive_text(14), "half an answer");
  server.reset();
  EXPECT_EQ(end_of(client), ECONNRESET);
}

TEST_P(ResetTest, ByClosingWithUnreadBytes)
{
  // The kernel sends a reset when a program closes a socket with unread bytes (RFC 2525 section 2.17).
  const auto listener = listen_here();
  auto [client, server] = connect(listener);
  server.send("never read");
  EXPECT_TRUE(eventually([&client = client] {
    char byte{};
    return ::recv(client.number(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
  }));
  client.close();
  EXPECT_EQ(end_of(server), ECONNRESET);
}

INSTANTIATE_TEST_SUITE_P(All, ResetTest, testing::ValuesIn(every_mode()), arrangement_name);

class DialTest : public ConnectionTest
{
protected:
  // What a client gets: an error from connect, or from its first read.
  int outcome(const Endpoint& destination)
  {
    return error_of([&] { end_of_or_throw(Connection::connect(net().client(), destination)); });
  }

  void expect_reason(const std::string& reason)
  {
    if (proxied()) {
      const auto line = daemon().log_line("closed client=");
      ASSERT_TRUE(line.has_value());
      EXPECT_NE(line->find("reason=dial-" + reason), std::string::npos) << *line;
      EXPECT_NE(line->find("up=0 down=0 "), std::string::npos) << *line;
      EXPECT_EQ(daemon().counter(reason == "timeout" ? "dials_timed_out" : "dials_" + reason), 1);
    }
  }

private:
  static void end_of_or_throw(const Connection& connection) { connection.receive_all(); }
};

TEST_P(DialTest, RefusedDestinationResetsTheClient)
{
  EXPECT_EQ(outcome(server_at(7099)), proxied() ? ECONNRESET : ECONNREFUSED);
  expect_reason("refused");
}

TEST_P(DialTest, DestinationWithoutRouteResetsTheClient)
{
  for (const auto* route : {"10.99.0.0/16", "fd00:99::/32"}) {
    net().box().must_run({"ip", "route", "add", "unreachable", route});
  }
  const auto nowhere = Endpoint::parse(family() == Family::ipv4 ? "10.99.0.1" : "fd00:99::1", server_port).value();
  const auto error = outcome(nowhere);
  if (proxied()) {
    EXPECT_EQ(error, ECONNRESET);
  } else {
    EXPECT_TRUE(error == EHOSTUNREACH || error == ENETUNREACH) << error;
  }
  expect_reason("unreachable");
}

// An ICMP error from a host beyond the box, addressed to the client whose address the box uses.
TEST_P(DialTest, UnreachableReportedFromAfarResetsTheClient)
{
  net().server().must_run({"iptables", "-A", "INPUT", "-p", "tcp", "--dport", "7000", "-j", "REJECT", "--reject-with",
                           "icmp-host-unreachable"});
  net().server().must_run({"ip6tables", "-A", "INPUT", "-p", "tcp", "--dport", "7000", "-j", "REJECT", "--reject-with",
                           "icmp6-addr-unreachable"});
  EXPECT_EQ(outcome(server_at(server_port)), proxied() ? ECONNRESET : EHOSTUNREACH);
  expect_reason("unreachable");
}

TEST_P(DialTest, HostThatDoesNotAnswerResetsTheClient)
{
  EXPECT_EQ(outcome(Topology::unused_address(family(), server_port)), proxied() ? ECONNRESET : EHOSTUNREACH);
  expect_reason("unreachable");
}

INSTANTIATE_TEST_SUITE_P(All, DialTest, testing::ValuesIn(every_mode()), arrangement_name);

class DialTimeoutTest : public DialTest
{
protected:
  DaemonOptions daemon_options() const override { return {.arguments = {"--connect-timeout", "2"}}; }
};

TEST_P(DialTimeoutTest, SilentDestinationResetsTheClient)
{
  for (const auto* program : {"iptables", "ip6tables"}) {
    net().server().must_run({program, "-A", "INPUT", "-p", "tcp", "--dport", "7000", "-j", "DROP"});
  }
  EXPECT_EQ(outcome(server_at(server_port)), ECONNRESET);
  expect_reason("timeout");
}

INSTANTIATE_TEST_SUITE_P(Proxied, DialTimeoutTest, testing::ValuesIn(proxied_modes()), arrangement_name);

class ProxiedDialTest : public DialTest
{};

TEST_P(ProxiedDialTest, ClientThatGivesUpEndsTheDial)
{
  for (const auto* program : {"iptables", "ip6tables"}) {
    net().server().must_run({program, "-A", "INPUT", "-p", "tcp", "--dport", "7000", "-j", "DROP"});
  }
  auto client = Connection::connect(net().client(), server_at(server_port));
  ASSERT_TRUE(eventually([this] { return daemon().counter("connections_accepted") == 1; }));
  client.reset();
  const auto line = daemon().log_line("closed client=");
  ASSERT_TRUE(line.has_value());
  EXPECT_NE(line->find("reason=reset-by-client"), std::string::npos) << *line;
}

INSTANTIATE_TEST_SUITE_P(Proxied, ProxiedDialTest, testing::ValuesIn(proxied_modes()), arrangement_name);

} // namespace pepsal::test
