// The DSCP of each side's packets (RFC 2474) at the other side: that of the SYN, and later ones.

#include "fixture.hh"

#include "util/socket.hh"
#include "util/system_error.hh"

#include <sys/socket.h>

namespace pepsal::test {

namespace {

using namespace std::chrono_literals;

constexpr int expedited = 46; // RFC 3246
constexpr int assured_2 = 18; // AF21, RFC 2597
constexpr int assured_4 = 34; // AF41

} // namespace

class DscpTest : public ConnectionTest
{
protected:
  void SetUp() override
  {
    ConnectionTest::SetUp();
    if (!IsSkipped() && !HasFatalFailure() && proxied()) {
      intercept_both_sides();
    }
  }

  // Under redirect rules, the legs do not have the same ends, and the server leg may not be recognised by its packets.
  bool keeps_later_ones() const { return GetParam().mode != Mode::redirect; }

  const char* iptables() const { return family() == Family::ipv4 ? "iptables" : "ip6tables"; }

  // Packets of a block that arrive with this DSCP since the last count; all others with it are shorter.
  void expect_block(const Connection& from, int dscp, const Connection& to, const Host& host) const
  {
    const std::string block(1000, 'x');
    const auto rule = [&](const char* action) {
      return std::vector<std::string>{iptables(), "-w",       action, "INPUT", "-p",   "tcp",    "-m",
                                      "length",   "--length", "900:", "-m",    "dscp", "--dscp", std::to_string(dscp)};
    };
    host.must_run(rule("-I"));
    from.send(block);
    EXPECT_EQ(to.receive_text(block.size()), block);
    const auto counts = host.must_run({iptables(), "-w", "-nvxL", "INPUT"});
    EXPECT_GE(std::stol(counts.substr(counts.find('\n', counts.find('\n') + 1))), 1) << "DSCP " << dscp;
    host.must_run(rule("-D"));
  }

  // Gives the sender's packets another DSCP from now on.
  static void mark(const Connection& connection, int dscp)
  {
    TCPSocket socket{::dup(connection.number())};
    socket.set_traffic_class(static_cast<std::uint8_t>(dscp << 2));
  }

  // A connection to `listener` whose SYN has a DSCP.
  static Connection connect_marked(const Host& host, const Endpoint& to, int dscp)
  {
    const Visit there{host.network()};
    const SocketAddress address{to};
    TCPSocket socket{check("socket", ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0))};
    socket.set_traffic_class(static_cast<std::uint8_t>(dscp << 2));
    check("connect", ::connect(socket.number(), address.get(), address.length()));
    return Connection{std::move(socket)};
  }

  void expect_kept(const Host& near, const Host& far, const Endpoint& at)
  {
    const Listener listener{far, at};
    const auto client = connect_marked(near, listener.local(), expedited);
    const auto server = listener.accept();
    expect_block(client, expedited, server, far);
    expect_block(server, 0, client, near);
    mark(server, assured_4);
    expect_block(server, keeps_later_ones() ? assured_4 : 0, client, near);
    std::this_thread::sleep_for(5s); // one packet every two seconds is inspected
    mark(client, assured_2);
    mark(server, assured_2);
    expect_block(client, keeps_later_ones() ? assured_2 : expedited, server, far);
    expect_block(server, keeps_later_ones() ? assured_2 : 0, client, near);
    if (proxied()) {
      EXPECT_EQ(daemon().counter("dscp_changes"), keeps_later_ones() ? 3 : 0);
      EXPECT_EQ(daemon().counter("packets_queued"), 1) << "those that show a DSCP are no SYNs";
    }
  }
};

TEST_P(DscpTest, OfAConnectionFromTheClientsSide)
{
  expect_kept(net().client(), net().server(), server_at(server_port));
  expect_proxied(1);
}

TEST_P(DscpTest, OfAConnectionFromTheServersSide)
{
  expect_kept(net().server(), net().client(), Topology::client_address(family(), server_port));
  expect_proxied(1);
}

INSTANTIATE_TEST_SUITE_P(All, DscpTest, testing::ValuesIn(every_mode_and_masquerade()), arrangement_name);

} // namespace pepsal::test
