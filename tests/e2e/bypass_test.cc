// Connections that cannot be split, and rules that disagree with the daemon: both run end to end, and are counted.

#include "fixture.hh"

#include "util/socket.hh"
#include "util/system_error.hh"

#include <cstring>
#include <string_view>

#include <netinet/tcp.h>
#include <sys/socket.h>

namespace pepsal::test {

namespace {

// RFC 2385, as BGP uses it: segments to and from `peer` are signed with the key.
void sign(int socket, const Endpoint& peer, std::string_view key)
{
  tcp_md5sig signature{};
  const SocketAddress address{Endpoint{.address = peer.address, .port = 0}};
  std::memcpy(&signature.tcpm_addr, address.get(), address.length());
  signature.tcpm_keylen = static_cast<std::uint16_t>(key.size());
  std::memcpy(signature.tcpm_key, key.data(), key.size());
  check("setsockopt TCP_MD5SIG", ::setsockopt(socket, IPPROTO_TCP, TCP_MD5SIG, &signature, sizeof signature));
}

FileDescriptor tcp_socket(const Host& host, Family family)
{
  const Visit there{host.network()};
  const int domain = family == Family::ipv4 ? AF_INET : AF_INET6;
  return FileDescriptor{check("socket", ::socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0))};
}

} // namespace

class BypassTest : public ConnectionTest
{};

TEST_P(BypassTest, SignedSegmentsGoEndToEnd)
{
  constexpr std::string_view key = "for BGP";
  const auto server = tcp_socket(net().server(), family());
  sign(server.number(), Topology::client_address(family()), key);
  const SocketAddress there{server_at(server_port)};
  check("bind", ::bind(server.number(), there.get(), there.length()));
  check("listen", ::listen(server.number(), 1));

  auto client = tcp_socket(net().client(), family());
  sign(client.number(), there.endpoint(), key);
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  check("setsockopt SO_SNDTIMEO", ::setsockopt(client.number(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
  check("connect", ::connect(client.number(), there.get(), there.length()));
  const Pair pair{.client = Connection{std::move(client)},
                  .server = Connection{FileDescriptor{check("accept", ::accept(server.number(), nullptr, nullptr))}}};
  pair.talk();
  if (proxied()) {
    EXPECT_EQ(daemon().counter("verdicts_bypass_authentication"), 1);
    EXPECT_EQ(daemon().counter("entries"), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BypassTest, testing::ValuesIn(every_mode()), arrangement_name);

class OtherRulesTest : public ConnectionTest
{
protected:
  // The rules come first: with a daemon that has another shift they are refused.
  void SetUp() override
  {
    NetworkTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    net().box().must_run({script_path("steering/pepsal-iptables"), "start", "--intercept", "client0", "--mark-shift",
                          "8", "--mode", GetParam().mode == Mode::redirect ? "redirect" : "tproxy"});
    start_daemon();
  }
};

// The queue's rule does not see the daemon's mark, so it would queue the repeated SYN again, forever.
TEST_P(OtherRulesTest, WithAnotherMarkShiftSendNothingRoundAndRound)
{
  const auto listener = listen_here();
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  EXPECT_EQ(daemon().counter("syns_marked_already"), 1);
  EXPECT_EQ(daemon().counter("packets_queued"), 2);
  expect_log_lines("--mark-shift", 1);
}

INSTANTIATE_TEST_SUITE_P(Proxied, OtherRulesTest, testing::ValuesIn(proxied_modes()), arrangement_name);

} // namespace pepsal::test
