// How bytes cross the proxy: many streams at once, both ways at once, slowly, in single bytes, and how connections end.
// Each case is also run without the proxy.

#include "fixture.hh"

#include <atomic>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sys/socket.h>

namespace pepsal::test {

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20U;

} // namespace

class StreamTest : public ConnectionTest
{};

TEST_P(StreamTest, BothWaysAtOnceOnOneConnection)
{
  constexpr std::size_t bytes = 20 * mebibyte;
  const auto listener = listen_here();
  auto [client, server] = connect(listener);

  auto up_sent = in_background([&client = client] { client.send_stream(1, bytes), client.end_sending(); });
  auto down_sent = in_background([&server = server] { server.send_stream(2, bytes), server.end_sending(); });
  auto up_received = in_background([&server = server] { return server.receive_stream(1); });
  auto down_received = in_background([&client = client] { return client.receive_stream(2); });

  EXPECT_EQ(up_received.get(), bytes);
  EXPECT_EQ(down_received.get(), bytes);
  up_sent.get();
  down_sent.get();
  expect_proxied(1);
  expect_closing_lines(1);
  if (proxied()) {
    const auto line = daemon().log_line("closed client=").value();
    EXPECT_NE(line.find("up=20971520 down=20971520 "), std::string::npos) << line;
    EXPECT_NE(line.find("client=" + client.local().to_string() + " server=" + listener.local().to_string() + " "),
              std::string::npos)
        << line;
  }
}

class SourceTest : public ConnectionTest
{};

TEST_P(SourceTest, IsTheClientOrTheBox)
{
  const auto listener = listen_here();
  auto [client, server] = connect(listener);
  EXPECT_EQ(server.remote().address_string(), expected_source());
  if (!GetParam().masquerade && GetParam().mode != Mode::redirect) {
    EXPECT_EQ(server.remote(), client.local());
  }
  EXPECT_EQ(client.remote(), listener.local());
}

INSTANTIATE_TEST_SUITE_P(All, SourceTest, testing::ValuesIn(every_mode_and_masquerade()), arrangement_name);

TEST_P(StreamTest, FiveHundredClientsAtOnce)
{
  constexpr std::uint64_t clients = 500;
  constexpr std::size_t bytes = 40'000;
  const auto listener = listen_here();
  // The first byte of a client's stream does not identify the stream, so the client first sends its number in eight
  // bytes.
  const auto serve = [&](Connection connection) {
    const auto number = std::stoull(connection.receive_text(8));
    auto sending = in_background([&] { connection.send_stream(10'000 + number, bytes), connection.end_sending(); });
    const auto received = connection.receive_stream(number);
    sending.get();
    return received;
  };
  auto serving = in_background([&] {
    std::vector<std::future<std::size_t>> each;
    for (std::uint64_t i = 0; i < clients; ++i) {
      each.push_back(in_background([&serve, connection = std::make_shared<Connection>(listener.accept())] {
        return serve(std::move(*connection));
      }));
    }
    std::size_t all = 0;
    for (auto& one : each) {
      all += one.get();
    }
    return all;
  });

  std::vector<std::future<std::size_t>> each;
  for (std::uint64_t number = 0; number < clients; ++number) {
    each.push_back(in_background([&, number] {
      const auto connection = Connection::connect(net().client(), listener.local());
      connection.send(fmt::format("{:08}", number));
      auto sending = in_background([&] { connection.send_stream(number, bytes), connection.end_sending(); });
      const auto received = connection.receive_stream(10'000 + number);
      sending.get();
      return received;
    }));
  }
  std::size_t all = 0;
  for (auto& one : each) {
    all += one.get();
  }
  EXPECT_EQ(all, clients * bytes);
  EXPECT_EQ(serving.get(), clients * bytes);
  expect_proxied(clients);
  expect_closing_lines(clients);
}

TEST_P(StreamTest, ReceiverThatStopsStopsItsSender)
{
  const auto listener = listen_here();
  const auto [client, server] = connect(listener);
  std::atomic<std::size_t> sent = 0;
  std::atomic<bool> enough = false;
  auto sending = in_background([&, &client = client] {
    Stream stream{7};
    std::vector<std::byte> buffer(65536);
    while (!enough) {
      stream.fill(buffer);
      client.send(buffer);
      sent += buffer.size();
    }
    client.end_sending();
  });
  // Nobody reads: the sender must stop, which is the case when it has moved nothing for a while.
  std::size_t before = 1;
  const bool stopped = eventually([&] {
    const auto now = sent.load();
    const bool same = now == std::exchange(before, now);
    std::this_thread::sleep_for(std::chrono::milliseconds{1000});
    return same && sent == now;
  });
  EXPECT_TRUE(stopped);
  enough = true;
  const auto received = server.receive_stream(7);
  sending.get();
  EXPECT_EQ(received, sent);
  expect_proxied(1);
}

TEST_P(StreamTest, SlowReaderGetsAll)
{
  constexpr std::size_t bytes = 3 * mebibyte;
  const auto listener = listen_here();
  auto [client, server] = connect(listener);
  // So that data wait for the reader in all places between the two.
  server.set_receive_buffer(small_receive_buffer);
  auto sending = in_background([&, &client = client] { client.send_stream(8, bytes), client.close(); });
  Stream expected{8};
  std::vector<std::byte> buffer(32 * 1024);
  for (auto part = server.receive(buffer); !part.empty(); part = server.receive(buffer)) {
    ASSERT_TRUE(expected.matches(part)) << "before byte " << expected.position();
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  EXPECT_EQ(expected.position(), bytes);
  sending.get();
  expect_proxied(1);
}

TEST_P(StreamTest, OneByteWrites)
{
  constexpr std::size_t bytes = 3000;
  const auto listener = listen_here();
  const auto [client, server] = connect(listener);
  auto sending = in_background([&, &client = client] { client.send_stream(3, bytes, 1), client.end_sending(); });
  EXPECT_EQ(server.receive_stream(3), bytes);
  sending.get();
  // And as a dialogue, where each byte waits for the previous one.
  for (int i = 0; i < 200; ++i) {
    server.send("x");
    EXPECT_EQ(client.receive_text(1), "x");
  }
  expect_proxied(1);
}

TEST_P(StreamTest, ConnectAndCloseAtOnce)
{
  constexpr int connections = 50;
  const auto listener = listen_here();
  for (int i = 0; i < connections; ++i) {
    auto client = Connection::connect(net().client(), listener.local());
    client.close();
    EXPECT_EQ(listener.accept().receive_all(), "");
  }
  expect_proxied(connections);
  expect_closing_lines(connections);
}

TEST_P(StreamTest, TailIsDeliveredHoweverEarlyTheSenderCloses)
{
  constexpr std::size_t bytes = 2 * mebibyte;
  const auto listener = listen_here();
  for (std::uint64_t i = 0; i < 20; ++i) {
    auto [client, server] = connect(listener);
    auto receiving = in_background([&, &client = client] { return client.receive_stream(i); });
    server.send_stream(i, bytes);
    server.close();
    EXPECT_EQ(receiving.get(), bytes);
  }
  expect_proxied(20);
}

TEST_P(StreamTest, HalfCloseByTheClient)
{
  const auto listener = listen_here();
  const auto [client, server] = connect(listener);
  client.send("question");
  client.end_sending();
  EXPECT_EQ(server.receive_all(), "question");
  std::this_thread::sleep_for(std::chrono::milliseconds{1500});
  auto sending = in_background([&server = server] { server.send_stream(4, mebibyte), server.end_sending(); });
  EXPECT_EQ(client.receive_stream(4), mebibyte);
  sending.get();
  expect_closing_lines(1);
}

TEST_P(StreamTest, HalfCloseByTheServer)
{
  const auto listener = listen_here();
  const auto [client, server] = connect(listener);
  server.send("goodbye");
  server.end_sending();
  EXPECT_EQ(client.receive_all(), "goodbye");
  std::this_thread::sleep_for(std::chrono::milliseconds{1500});
  auto sending = in_background([&client = client] { client.send_stream(5, mebibyte), client.end_sending(); });
  EXPECT_EQ(server.receive_stream(5), mebibyte);
  sending.get();
  expect_closing_lines(1);
}

TEST_P(StreamTest, ServerSpeaksFirst)
{
  const auto listener = listen_here();
  const auto [client, server] = connect(listener);
  server.send("220 ready\r\n");
  EXPECT_EQ(client.receive_text(11), "220 ready\r\n");
  client.send("QUIT\r\n");
  EXPECT_EQ(server.receive_text(6), "QUIT\r\n");
}

TEST_P(StreamTest, SameSourcePortToTwoServersAtOnce)
{
  const auto listener = listen_here();
  const Listener second{net().server(), Topology::second_server_address(family(), server_port)};
  const auto source = Topology::client_address(family(), 40'000);
  // The SYNs of both must be in flight at the same time.
  auto one = in_background([&] { return Connection::connect(net().client(), listener.local(), source); });
  auto two = in_background([&] { return Connection::connect(net().client(), second.local(), source); });
  const auto client_one = one.get();
  const auto client_two = two.get();
  const auto server_one = listener.accept();
  const auto server_two = second.accept();
  client_one.send("to the first");
  client_two.send("to the second");
  client_one.end_sending();
  client_two.end_sending();
  EXPECT_EQ(server_one.receive_all(), "to the first");
  EXPECT_EQ(server_two.receive_all(), "to the second");
  server_one.send("from the first");
  server_two.send("from the second");
  EXPECT_EQ(client_one.receive_text(14), "from the first");
  EXPECT_EQ(client_two.receive_text(15), "from the second");
  expect_proxied(2);
}

TEST_P(StreamTest, SamePortsAgainAtOnce)
{
  const auto listener = listen_here();
  const auto source = Topology::client_address(family(), 40'001);
  for (int i = 0; i < 10; ++i) {
    const auto client = Connection::connect(net().client(), listener.local(), source);
    const auto server = listener.accept();
    client.send("once more");
    EXPECT_EQ(server.receive_text(9), "once more");
    // The server closes first, so the client's address is free at once, and the box and the server
    // have the connection in TIME_WAIT.
    server.end_sending();
    EXPECT_EQ(client.receive_all(), "");
    client.end_sending();
    EXPECT_EQ(server.receive_all(), "");
  }
  expect_proxied(10);
}

TEST_P(StreamTest, UrgentBytesStayInOrder)
{
  const auto listener = listen_here();
  const auto [client, server] = connect(listener);
  // The receiver reads it in line, whether or not the mark itself survives the split.
  const int in_line = 1;
  ASSERT_EQ(::setsockopt(server.number(), SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof in_line), 0);
  ASSERT_EQ(::setsockopt(client.number(), SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof in_line), 0);
  std::string expected;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    client.send("data ");
    client.send_urgent(letter);
    expected += std::string{"data "} + letter;
  }
  client.end_sending();
  EXPECT_EQ(server.receive_all(), expected);
  server.send("before");
  server.send_urgent('!');
  server.send("after");
  server.end_sending();
  EXPECT_EQ(client.receive_all(), "before!after");
  expect_proxied(1);
}

// As GTSM (RFC 5082) sees it: the server gets what a router leaves of the client's hop limit; the box's own is 64.
TEST_P(StreamTest, HopLimitOfTheClient)
{
  net().client().set_sysctl("ipv4/ip_default_ttl", "100");
  net().client().set_sysctl("ipv6/conf/all/hop_limit", "100");
  net().client().set_sysctl("ipv6/conf/eth0/hop_limit", "100");
  for (const auto* program : {"iptables", "ip6tables"}) {
    const bool ipv4 = std::string_view{program} == "iptables";
    net().server().must_run({program, "-w", "-A", "INPUT", "-p", "tcp", "--dport", "7000", "-m", ipv4 ? "ttl" : "hl",
                             ipv4 ? "--ttl-lt" : "--hl-lt", "99", "-j", "DROP"});
  }
  const auto listener = listen_here();
  connect(listener).talk();
}

INSTANTIATE_TEST_SUITE_P(All, StreamTest, testing::ValuesIn(every_mode()), arrangement_name);

} // namespace pepsal::test
