// Malformed packets, sent through a raw socket: the queuer counts them and lets them continue unchanged, without harm
// to itself.

#include "fixture.hh"

#include "util/system_error.hh"

#include <array>
#include <cstring>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace pepsal::test {

namespace {

constexpr std::uint16_t probe_port = 7777;

// TCP over IP; the test writes everything but the IP header.
class RawSocket
{
public:
  RawSocket(const Host& host, Family family)
  {
    const Visit there{host.network()};
    const int domain = family == Family::ipv4 ? AF_INET : AF_INET6;
    fd_ = FileDescriptor{check("raw socket", ::socket(domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP))};
    const timeval limit{.tv_sec = 1, .tv_usec = 0};
    check("setsockopt", ::setsockopt(fd_.number(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
  }

  // NOPs (RFC 791), or a destination options header of padding (RFC 8200 section 4.6).
  void add_ip_options(Family family) const
  {
    constexpr std::array<unsigned char, 4> nops{1, 1, 1, 0};
    constexpr std::array<unsigned char, 8> padding{0, 0, 1, 4, 0, 0, 0, 0};
    const int result = family == Family::ipv4
                           ? ::setsockopt(fd_.number(), IPPROTO_IP, IP_OPTIONS, nops.data(), nops.size())
                           : ::setsockopt(fd_.number(), IPPROTO_IPV6, IPV6_DSTOPTS, padding.data(), padding.size());
    check("setsockopt of IP options", result);
  }

  void send(const Endpoint& to, std::span<const std::byte> segment) const
  {
    const SocketAddress address{to};
    check("sendto", ::sendto(fd_.number(), segment.data(), segment.size(), 0, address.get(), address.length()));
  }

  // Whether this segment arrives, possibly after others. An IP header may precede it (raw(7)).
  bool receives(std::span<const std::byte> segment) const
  {
    std::array<std::byte, 65536> packet{};
    return eventually([&] {
      const auto length = ::recv(fd_.number(), packet.data(), packet.size(), 0);
      const auto header = length - static_cast<ssize_t>(segment.size());
      return header >= 0 && std::memcmp(packet.data() + header, segment.data(), segment.size()) == 0;
    });
  }

private:
  FileDescriptor fd_;
};

struct Segment
{
  const char* what;
  std::uint16_t source_port;
  unsigned data_offset; // in words, as the header says
  std::size_t options;  // bytes that really follow
};

std::vector<std::byte> bytes_of(const Segment& segment)
{
  tcphdr header{};
  header.source = htons(segment.source_port);
  header.dest = htons(probe_port);
  header.seq = htonl(segment.data_offset);
  header.doff = segment.data_offset & 0xfU;
  header.syn = 1;
  header.window = htons(1000);
  std::vector<std::byte> bytes(sizeof header + segment.options, std::byte{0xff});
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

} // namespace

class MalformedTest : public ConnectionTest
{
protected:
  // At the end, nobody waits for connections that never come.
  DaemonOptions daemon_options() const override { return {.arguments = {"--drain-timeout", "0"}}; }
};

TEST_P(MalformedTest, IsCountedAndLetGo)
{
  constexpr std::array segments{
      Segment{"header of no length", 1001, 0, 0}, Segment{"header shorter than TCP's", 1002, 4, 0},
      Segment{"header longer than the packet", 1003, 15, 0},
      Segment{"header a little longer than the packet", 1004, 7, 4}, Segment{"source port 0", 0, 5, 0}};
  const RawSocket client{net().client(), family()};
  const RawSocket server{net().server(), family()};
  for (const auto& segment : segments) {
    const auto bytes = bytes_of(segment);
    client.send(server_at(0), bytes);
    EXPECT_TRUE(server.receives(bytes)) << segment.what;
  }
  if (proxied()) {
    const auto counters = daemon().counters();
    EXPECT_EQ(counters.at("packets_malformed"), segments.size());
    EXPECT_EQ(counters.at("packets_queued"), segments.size());
    EXPECT_EQ(counters.at("entries"), 0);
  }
  const auto listener = listen_here();
  EXPECT_EQ(path_of_new_connection(listener), proxied() ? Path::proxied : Path::direct);
}

// Malformed hints: the connection is accepted, the hints are ignored.
TEST_P(MalformedTest, OptionsThatLieAreNoReasonToRefuse)
{
  const RawSocket client{net().client(), family()};
  client.send(server_at(0), bytes_of({"options of all ones", 1005, 8, 12}));
  if (proxied()) {
    EXPECT_TRUE(eventually([&] { return daemon().counter("verdicts_intercept") == 1; }));
    EXPECT_EQ(daemon().counter("packets_malformed"), 0);
  }
  const auto listener = listen_here();
  EXPECT_EQ(path_of_new_connection(listener), proxied() ? Path::proxied : Path::direct);
}

// Legal, but rare: an IPv4 header of more than 20 bytes, an extension header of IPv6.
TEST_P(MalformedTest, OptionsOfTheIpHeaderAreSkipped)
{
  const RawSocket client{net().client(), family()};
  client.add_ip_options(family());
  const auto syn = bytes_of({"a plain SYN", 1006, 5, 0});
  if (proxied()) {
    client.send(server_at(0), syn);
    EXPECT_TRUE(eventually([&] { return daemon().counter("verdicts_intercept") == 1; }));
    EXPECT_EQ(daemon().counter("packets_malformed"), 0);
    const auto list = daemon().control("list");
    EXPECT_NE(list.find(":1006 "), std::string::npos) << list;
  } else {
    const RawSocket server{net().server(), family()};
    client.send(server_at(0), syn);
    EXPECT_TRUE(server.receives(syn));
  }
}

// The SYN asks for what two connections cannot provide. From either side of the box.
class UnsplittableTest : public MalformedTest
{
protected:
  void expect_passed(const Segment& segment, std::span<const std::byte> option, const std::string& counter)
  {
    if (proxied()) {
      intercept_both_sides();
    }
    auto syn = bytes_of(segment);
    std::copy(option.begin(), option.end(), syn.end() - static_cast<std::ptrdiff_t>(segment.options));
    const RawSocket client{net().client(), family()};
    const RawSocket server{net().server(), family()};
    client.send(server_at(0), syn);
    EXPECT_TRUE(server.receives(syn));
    server.send(Topology::client_address(family()), syn);
    EXPECT_TRUE(client.receives(syn));
    if (proxied()) {
      EXPECT_EQ(daemon().counter(counter), 2);
      EXPECT_EQ(daemon().counter("verdicts_intercept"), 0);
    }
  }
};

TEST_P(UnsplittableTest, ASynThatJoinsAnotherConnectionPasses)
{
  constexpr std::array join{std::byte{30}, std::byte{12}, std::byte{0x10}}; // RFC 8684 section 3.2
  expect_passed({"MP_JOIN", 1008, 8, 12}, join, "verdicts_bypass_joining");
}

// The kernel that runs the tests may not support TCP-AO, but a SYN with it can be sent all the same.
TEST_P(UnsplittableTest, ASynThatIsSignedPasses)
{
  constexpr std::array signature{std::byte{29}, std::byte{16}, std::byte{1}, std::byte{1}}; // RFC 5925 section 2.2
  expect_passed({"TCP-AO", 1009, 9, 16}, signature, "verdicts_bypass_authentication");
}

INSTANTIATE_TEST_SUITE_P(All, UnsplittableTest, testing::ValuesIn(every_mode()), arrangement_name);

INSTANTIATE_TEST_SUITE_P(All, MalformedTest, testing::ValuesIn(every_mode()), arrangement_name);

} // namespace pepsal::test
