// Simultaneous open (RFC 9293 section 3.5), with which programs behind two NATs or firewalls reach each other: nobody
// listens, and each host only admits answers to its own SYN.

#include "fixture.hh"

#include "util/socket.hh"
#include "util/system_error.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

namespace pepsal::test {

class CrossingTest : public ConnectionTest
{
protected:
  static constexpr std::uint16_t port = 7100;

  void SetUp() override
  {
    ConnectionTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    if (proxied()) { // from both sides, as OPERATING.md says
      intercept_both_sides();
    }
    for (const auto* host : {&net().client(), &net().server()}) {
      for (const auto* program : {"iptables", "ip6tables"}) {
        host->must_run({program, "-A", "INPUT", "-p", "tcp", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"});
      }
    }
  }

  // A connect(2) in progress.
  static FileDescriptor begin(const Host& host, const Endpoint& from, const Endpoint& to)
  {
    const Visit there{host.network()};
    const SocketAddress source{from};
    const SocketAddress destination{to};
    FileDescriptor socket{check("socket", ::socket(source.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
    check("bind", ::bind(socket.number(), source.get(), source.length()));
    const int result = ::connect(socket.number(), destination.get(), destination.length());
    EXPECT_TRUE(result == 0 || errno == EINPROGRESS) << errno;
    return socket;
  }

  static Connection finish(FileDescriptor socket)
  {
    pollfd connected{.fd = socket.number(), .events = POLLOUT, .revents = 0};
    EXPECT_EQ(::poll(&connected, 1, std::chrono::milliseconds{patience}.count()), 1) << "still connecting";
    int error = 0;
    socklen_t length = sizeof error;
    check("getsockopt", ::getsockopt(socket.number(), SOL_SOCKET, SO_ERROR, &error, &length));
    EXPECT_EQ(error, 0) << "connect";
    check("fcntl", ::fcntl(socket.number(), F_SETFL, 0));
    return Connection{std::move(socket)};
  }

  void meet(bool client_first, std::chrono::milliseconds pause)
  {
    const auto at_client = Topology::client_address(family(), port);
    const auto at_server = Topology::server_address(family(), port);
    auto first =
        client_first ? begin(net().client(), at_client, at_server) : begin(net().server(), at_server, at_client);
    std::this_thread::sleep_for(pause);
    auto second =
        client_first ? begin(net().server(), at_server, at_client) : begin(net().client(), at_client, at_server);
    auto& client = client_first ? first : second;
    auto& server = client_first ? second : first;
    Pair pair{.client = finish(std::move(client)), .server = finish(std::move(server))};
    pair.talk();
    pair.client.end_sending();
    EXPECT_EQ(pair.server.receive_all(), "");
    pair.server.end_sending();
    EXPECT_EQ(pair.client.receive_all(), "");
    expect_proxied(1);
    if (proxied()) {
      EXPECT_GE(daemon().counter("verdicts_bypass_crossing"), 1);
    }
  }
};

TEST_P(CrossingTest, ClientFirst)
{
  meet(true, std::chrono::milliseconds{300});
}

TEST_P(CrossingTest, ServerFirst)
{
  meet(false, std::chrono::milliseconds{300});
}

TEST_P(CrossingTest, AtOnce)
{
  meet(true, std::chrono::milliseconds{0});
}

INSTANTIATE_TEST_SUITE_P(All, CrossingTest, testing::ValuesIn(modes_that_keep_ports()), arrangement_name);

} // namespace pepsal::test
