// What goes wrong: resets, refused and unreachable destinations, and processes of the daemon that are
// killed. The rule is that nobody sees a clean end that was none, and that only what was hit is hurt.

#include "fixture.hh"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include <fmt/format.h>
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
  // As much as goes in without anybody reading.
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
  // The kernel resets when a program closes a socket that still has bytes for it (RFC 2525 section 2.17).
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
  // What a client gets: an error of connect, or of its first read.
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

// An ICMP error of a host beyond the box, addressed to the client whose address the box uses.
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

class KillTest : public ConnectionTest
{
protected:
  // The proxy of a connection, found by its title.
  ProcessInfo proxy_of(const Connection& client)
  {
    const auto title = fmt::format("proxy {} -> {}", client.local().to_string(), client.remote().to_string());
    EXPECT_TRUE(eventually([&] { return daemon().processes(title).size() == 1; })) << title;
    return daemon().processes(title).at(0);
  }

  static void kill(const ProcessInfo& process) { ASSERT_EQ(::kill(process.pid, SIGKILL), 0) << process.title; }
};

TEST_P(KillTest, ProxyTakesItsConnectionWithIt)
{
  const auto listener = listen_here();
  const auto hit = connect(listener);
  const auto spared = connect(listener);
  hit.talk();
  spared.talk();
  EXPECT_EQ(daemon().counter("entries"), 2);
  kill(proxy_of(hit.client));
  EXPECT_EQ(end_of(hit.client), ECONNRESET);
  EXPECT_EQ(end_of(hit.server), ECONNRESET);
  spared.talk();
  EXPECT_TRUE(eventually([&] { return daemon().counter("entries") == 1; }));
  EXPECT_EQ(daemon().counter("proxies_lost"), 1);
  EXPECT_TRUE(eventually([&] { return daemon().counter("slots_recovered") == 1; }));
  EXPECT_TRUE(daemon().log_line("was lost").has_value());
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
}

// Proxies that cannot even wait for a connection must not keep the machine busy, nor connections for a dead service.
TEST_P(KillTest, ProxiesThatDieAtOnceAreForkedEverMoreSlowly)
{
  const auto listener = listen_here();
  std::atomic<bool> is_over{};
  auto killing = in_background([&] {
    while (!is_over) {
      for (const auto& idle : daemon().processes("proxy idle")) {
        ::kill(idle.pid, SIGKILL); // it may have gone already
      }
    }
  });
  std::this_thread::sleep_for(std::chrono::seconds{2}); // until the pauses are long
  EXPECT_TRUE(eventually([&] { return daemon().counter("overloaded") == 1; }));
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  is_over = true;
  killing.get();
  EXPECT_LT(daemon().counter("proxies_forked"), 100);
  EXPECT_EQ(daemon().log_lines("before it had a connection"), 1);
  EXPECT_TRUE(eventually([&] { return daemon().counter("overloaded") == 0; }));
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
}

// Whatever of PEPsal dies in the middle of a transfer, nobody takes what came for all.
TEST_P(KillTest, CutTransferHasNoCleanEnd)
{
  const auto listener = listen_here();
  for (const bool everything : {false, true}) {
    const auto [client, server] = connect(listener);
    auto sending = in_background([&, &client = client] {
      const std::string block(65536, 'x');
      return error_of([&] {
        for (;;) {
          client.send(block);
        }
      });
    });
    EXPECT_EQ(server.receive_text(1'000'000).size(), 1'000'000);
    if (everything) {
      kill_everything();
    } else {
      kill(proxy_of(client));
    }
    EXPECT_EQ(end_of(server), ECONNRESET);
    const auto sender_error = sending.get();
    EXPECT_TRUE(sender_error == ECONNRESET || sender_error == EPIPE) << sender_error;
  }
  forget_daemon();
  start_daemon(daemon_options());
}

TEST_P(KillTest, IdleProxiesAreReplaced)
{
  std::vector<ProcessInfo> idle;
  ASSERT_TRUE(eventually([&] {
    idle = daemon().processes("proxy idle");
    return idle.size() == 8;
  }));
  for (const auto& proxy : idle) {
    kill(proxy);
  }
  EXPECT_TRUE(eventually([&] { return daemon().counter("proxies_lost") == 8; }));
  EXPECT_TRUE(eventually([&] { return daemon().counter("overloaded") == 0; })); // if killing them took long
  const auto listener = listen_here();
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  // More of them when the manager took the loss for a burst.
  EXPECT_TRUE(eventually([&] { return daemon().processes("proxy idle").size() >= 8; }));
}

TEST_P(KillTest, ManagerLeavesNoOrphanThatAccepts)
{
  const auto listener = listen_here();
  const auto pair = connect(listener);
  pair.talk();
  daemon().signal(SIGKILL);
  EXPECT_TRUE(eventually([&] { return daemon().processes().size() == 1; }))
      << "only the busy proxy may be left, not " << daemon().processes().size();
  pair.talk();
  const auto refused = [&] {
    return error_of([&] { Connection::connect(net().box(), Topology::box_client_side(family(), 5000)); });
  };
  EXPECT_TRUE(eventually([&] { return refused() == ECONNREFUSED; })) << "the busy proxy must close its listener";
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);

  // The next start cleans up what the crash left and works at once, beside the old connection.
  forget_daemon();
  start_daemon(daemon_options());
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  pair.talk();
  const auto bytes = std::size_t{3'000'000};
  auto sending = in_background([&] { pair.client.send_stream(1, bytes), pair.client.end_sending(); });
  EXPECT_EQ(pair.server.receive_stream(1), bytes);
  sending.get();
  pair.server.end_sending();
  EXPECT_EQ(pair.client.receive_all(), "");
}

TEST_P(KillTest, QueuerInTheMiddleOfTraffic)
{
  const auto listener = listen_here();
  const auto bulk = connect(listener);
  constexpr std::size_t bytes = 200'000'000;
  auto sending = in_background([&] { bulk.client.send_stream(1, bytes), bulk.client.end_sending(); });
  auto receiving = in_background([&] { return bulk.server.receive_stream(1); });
  for (int round = 1; round <= 3; ++round) {
    const auto queuers = daemon().processes("queuer");
    ASSERT_EQ(queuers.size(), 1);
    kill(queuers[0]);
    // With the queuer dead or alive again: they work, direct or proxied.
    for (int i = 0; i < 20; ++i) {
      connect(listener).talk();
    }
    EXPECT_TRUE(eventually([&] { return daemon().counter("queuers_restarted") == round; }));
  }
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  EXPECT_EQ(receiving.get(), bytes);
  sending.get();
  EXPECT_TRUE(daemon().log_line("started again").has_value());
}

INSTANTIATE_TEST_SUITE_P(Proxied, KillTest, testing::ValuesIn(proxied_modes()), arrangement_name);

class HangTest : public NetworkTest
{};

// One that hangs keeps its queue, so that netfilter lets SYNs wait for it instead of letting them pass.
TEST_F(HangTest, QueuerIsReplaced)
{
  const auto listener = listen();
  start_daemon();
  start_rules(net(), Mode::tproxy);
  const auto queuers = daemon().processes("queuer");
  ASSERT_EQ(queuers.size(), 1);
  ASSERT_EQ(::kill(queuers[0].pid, SIGSTOP), 0);
  const auto pair = connect(listener); // by a SYN that is sent again
  pair.talk();
  EXPECT_TRUE(daemon().log_line("does nothing while packets wait").has_value());
  EXPECT_TRUE(eventually([&] { return daemon().counter("queuers_restarted") == 1; }));
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
}

class DrainTest : public ConnectionTest
{};

TEST_P(DrainTest, TransferUnderWayIsCompleted)
{
  const auto listener = listen_here();
  const auto pair = connect(listener);
  pair.talk();
  daemon().signal(SIGTERM);
  ASSERT_TRUE(daemon().log_line("draining").has_value());
  // New ones pass end to end meanwhile.
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  EXPECT_TRUE(daemon().process().is_running());
  constexpr std::size_t bytes = 10'000'000;
  auto sending = in_background([&] { pair.client.send_stream(1, bytes), pair.client.end_sending(); });
  EXPECT_EQ(pair.server.receive_stream(1), bytes);
  sending.get();
  pair.server.send("done");
  pair.server.end_sending();
  EXPECT_EQ(pair.client.receive_all(), "done");
  EXPECT_EQ(daemon().process().wait(), 0);
  // And afterwards too.
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
}

// Ctrl-C: the terminal sends SIGINT to all processes of the foreground at once.
TEST_P(DrainTest, AnInterruptFromTheTerminalIsForTheManager)
{
  const auto listener = listen_here();
  const auto pair = connect(listener);
  ASSERT_EQ(::kill(-daemon().process().pid(), SIGINT), 0) << "it leads its process group";
  ASSERT_TRUE(daemon().log_line("draining: 1 connections").has_value());
  pair.talk();
  EXPECT_EQ(daemon().counter("queuers_restarted"), 0);
  EXPECT_EQ(daemon().counter("proxies_lost"), 0);
}

INSTANTIATE_TEST_SUITE_P(Proxied, DrainTest, testing::ValuesIn(proxied_modes()), arrangement_name);

class DrainTimeoutTest : public ConnectionTest
{
protected:
  DaemonOptions daemon_options() const override { return {.arguments = {"--drain-timeout", "1"}}; }
};

TEST_P(DrainTimeoutTest, ConnectionsThatStayAreReset)
{
  const auto listener = listen_here();
  const auto pair = connect(listener);
  pair.talk();
  daemon().signal(SIGTERM);
  EXPECT_EQ(daemon().process().wait(), 0);
  EXPECT_EQ(end_of(pair.client), ECONNRESET);
  EXPECT_EQ(end_of(pair.server), ECONNRESET);
  EXPECT_EQ(daemon().log_lines("closed client="), 1);
  EXPECT_EQ(daemon().log_lines("reason=drain-timeout"), 1);
  EXPECT_EQ(daemon().log_lines("was lost"), 0);
}

INSTANTIATE_TEST_SUITE_P(Proxied, DrainTimeoutTest, testing::ValuesIn(proxied_modes()), arrangement_name);

} // namespace pepsal::test
