// SYNs that nobody completes, from forged sources. The kernel would answer with SYN cookies once the listener's backlog
// is full, and such a handshake cannot be completed under TPROXY: every new client would be reset.

#include "fixture.hh"

#include "util/system_error.hh"

#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace pepsal::test {

namespace {

constexpr std::uint16_t nobodys_port = 7778;
constexpr std::uint32_t first_source = 0x0a800001; // 10.128.0.1

struct [[gnu::packed]] Packet
{
  iphdr ip;
  tcphdr tcp;
};

// The Internet checksum of words in network order (RFC 1071).
std::uint16_t checksum(std::span<const std::uint16_t> words)
{
  std::uint32_t sum = 0;
  for (const auto word : words) {
    sum += word;
  }
  sum = (sum >> 16U) + (sum & 0xffffU);
  sum += sum >> 16U;
  return static_cast<std::uint16_t>(~sum);
}

// A SYN from a different source each time; the kernel writes the IP header's length and checksum (raw(7)).
Packet syn_number(std::uint32_t number, const in_addr& server)
{
  Packet packet{};
  packet.ip.version = 4;
  packet.ip.ihl = 5;
  packet.ip.ttl = 64;
  packet.ip.protocol = IPPROTO_TCP;
  packet.ip.saddr = htonl(first_source + number);
  packet.ip.daddr = server.s_addr;
  packet.tcp.source = htons(2000);
  packet.tcp.dest = htons(nobodys_port);
  packet.tcp.doff = 5;
  packet.tcp.syn = 1;
  packet.tcp.window = htons(1000);
  // With the pseudo header (RFC 9293 section 3.1): both addresses, the protocol, the length.
  std::array<std::uint16_t, 6 + sizeof(tcphdr) / 2> words{};
  std::memcpy(words.data(), &packet.ip.saddr, 2 * sizeof packet.ip.saddr);
  words[4] = htons(IPPROTO_TCP);
  words[5] = htons(sizeof(tcphdr));
  std::memcpy(&words[6], &packet.tcp, sizeof packet.tcp);
  packet.tcp.check = checksum(words);
  return packet;
}

} // namespace

class FloodTest : public NetworkTest
{
protected:
  void flood(std::uint32_t syns)
  {
    FileDescriptor socket;
    {
      const Visit there{net().client().network()};
      socket = FileDescriptor{check("raw socket", ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW))};
    }
    const SocketAddress to{Topology::server_address(Family::ipv4)};
    in_addr server{};
    ::inet_pton(AF_INET, Topology::server_address(Family::ipv4).address_string().c_str(), &server);
    for (std::uint32_t number = 0; number < syns; ++number) {
      const auto packet = syn_number(number, server);
      check("sendto", ::sendto(socket.number(), &packet, sizeof packet, 0, to.get(), to.length()));
      if (number % 16 == 0) { // the queue must not overflow anywhere
        std::this_thread::sleep_for(std::chrono::milliseconds{2});
      }
    }
  }

  // Established connections continue, new ones are served or bypass, and are served again when the flood is over.
  void expect_to_get_through(std::vector<std::string> arguments, std::uint32_t syns)
  {
    arguments.insert(arguments.end(), {"--drain-timeout", "0"});
    start_daemon({.arguments = std::move(arguments)});
    start_rules(net(), Mode::tproxy);
    // Answers to the sources are discarded, and nobody answers those.
    net().box().must_run(
        {"ip", "route", "add", "10.128.0.0/9", "via", Topology::client_address(Family::ipv4).address_string()});
    net().box().set_sysctl("ipv4/conf/all/rp_filter", "0");
    net().box().set_sysctl("ipv4/conf/client0/rp_filter", "0");
    const auto listener = listen();
    const auto before = connect(listener);
    before.talk();
    flood(syns);
    EXPECT_TRUE(eventually([&] { return daemon().counter("verdicts_bypass_waiting") > 0; }));
    for (int i = 0; i < 10; ++i) {
      connect(listener).talk();
    }
    before.talk();
    EXPECT_TRUE(eventually([&] { return path_of_new_connection(listener) == Path::proxied; }));
  }

  static constexpr std::uint32_t more_than_the_backlog = 6000;
  static constexpr std::uint32_t more_than_may_wait = 3000;
};

TEST_F(FloodTest, NewConnectionsGetThrough)
{
  expect_to_get_through({}, more_than_the_backlog);
  expect_log_lines("as in a SYN flood: new connections bypass", 1);
}

// More than may wait for their servers, none of which answers.
TEST_F(FloodTest, NewConnectionsGetThroughBesideHeldSyns)
{
  net().server().must_run(
      {"iptables", "-w", "-A", "INPUT", "-p", "tcp", "--dport", std::to_string(nobodys_port), "-j", "DROP"});
  expect_to_get_through({"--connect", "honest"}, more_than_may_wait);
}

} // namespace pepsal::test
