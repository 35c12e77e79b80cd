// Processes of the daemon that are killed, hang or are told to end: only what was hit is affected, and nobody sees a
// false clean end.

#include "fixture.hh"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include <fmt/format.h>

namespace pepsal::test {

class KillTest : public ConnectionTest
{};

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

// Proxies that cannot even wait for a connection must not keep the machine busy, nor keep connections for a dead
// service.
TEST_P(KillTest, ProxiesThatDieAtOnceAreForkedEverMoreSlowly)
{
  const auto listener = listen_here();
  std::atomic<bool> is_over{};
  auto killing = in_background([&] {
    while (!is_over) {
      for (const auto& idle : daemon().processes("proxy idle")) {
        ::kill(idle.pid, SIGKILL); // it may have ended already
      }
    }
  });
  std::this_thread::sleep_for(std::chrono::seconds{2}); // until the pauses are long
  EXPECT_TRUE(eventually([&] { return daemon().counter("overloaded") == 1; }));
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  is_over = true;
  killing.get();
  EXPECT_LT(daemon().counter("proxies_forked"), 100);
  expect_log_lines("before it had a connection", 1);
  EXPECT_TRUE(eventually([&] { return daemon().counter("overloaded") == 0; }));
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
}

// Whichever process of PEPsal dies during a transfer, nobody takes what has arrived for the whole.
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
  // More of them if the manager took the loss for a burst.
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

  // The next start cleans up after the crash and works at once, alongside the old connection.
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
    // Whether the queuer is dead or running again: they work, direct or proxied.
    for (int i = 0; i < 20; ++i) {
      connect(listener).talk();
    }
    EXPECT_TRUE(eventually([&] { return daemon().counter("queuers_restarted") == round; }));
  }
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  EXPECT_EQ(receiving.get(), bytes);
  sending.get();
  EXPECT_TRUE(daemon().log_line(" restarted").has_value());
}

INSTANTIATE_TEST_SUITE_P(Proxied, KillTest, testing::ValuesIn(proxied_modes()), arrangement_name);

class HangTest : public NetworkTest
{};

// A queuer that hangs keeps its queue, so that netfilter makes SYNs wait for it instead of letting them pass.
TEST_F(HangTest, QueuerIsReplaced)
{
  const auto listener = listen();
  start_daemon();
  start_rules(net(), Mode::tproxy);
  const auto queuers = daemon().processes("queuer");
  ASSERT_EQ(queuers.size(), 1);
  ASSERT_EQ(::kill(queuers[0].pid, SIGSTOP), 0);
  const auto pair = connect(listener); // with a retransmitted SYN
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
  // New ones bypass meanwhile.
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
  expect_log_lines("closed client=", 1);
  expect_log_lines("reason=drain-timeout", 1);
  EXPECT_EQ(daemon().log_lines("was lost"), 0);
}

INSTANTIATE_TEST_SUITE_P(Proxied, DrainTimeoutTest, testing::ValuesIn(proxied_modes()), arrangement_name);

} // namespace pepsal::test
