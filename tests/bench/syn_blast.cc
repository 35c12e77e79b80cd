// A stream of TCP SYNs for scripts/bench, as fast as one core can send them: from many addresses and ports, with the
// options that Linux puts in a SYN, written as whole Ethernet frames to one interface through AF_PACKET. Prints how
// many were sent in how long; exits with 1 if the interface is not available.

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "util/file_descriptor.hh"
#include "util/system_error.hh"

namespace {

using pepsal::check;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t first_source = 0x0a800000; // 10.128.0.0 and up, each with all its ports
constexpr std::uint16_t first_port = 1024;
constexpr std::uint16_t ports = 64'000;
constexpr std::uint16_t server_port = 80;

// MSS 1460, SACK permitted, timestamps, window scale 7: Linux's own SYN.
constexpr std::array<std::uint8_t, 20> tcp_options{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};

struct [[gnu::packed]] Frame
{
  ether_header ethernet;
  iphdr ip;
  tcphdr tcp;
  std::array<std::uint8_t, tcp_options.size()> options;
};
static_assert(sizeof(Frame) == 74);

// The sum of 16-bit words for the Internet checksum, not yet folded (RFC 1071).
std::uint32_t sum_of_words(std::span<const std::byte> bytes)
{
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    std::uint16_t word{};
    std::memcpy(&word, &bytes[i], sizeof word);
    sum += word;
  }
  return sum;
}

std::uint16_t fold(std::uint32_t sum)
{
  sum = (sum >> 16U) + (sum & 0xffffU);
  sum += sum >> 16U;
  return static_cast<std::uint16_t>(~sum);
}

Frame frame_template(const ether_addr& from, const ether_addr& to, in_addr server)
{
  Frame frame{};
  std::memcpy(frame.ethernet.ether_shost, &from, sizeof from);
  std::memcpy(frame.ethernet.ether_dhost, &to, sizeof to);
  frame.ethernet.ether_type = htons(ETHERTYPE_IP);
  frame.ip.version = 4;
  frame.ip.ihl = 5;
  frame.ip.tot_len = htons(sizeof(Frame) - sizeof(ether_header));
  frame.ip.ttl = 64;
  frame.ip.protocol = IPPROTO_TCP;
  frame.ip.daddr = server.s_addr;
  frame.tcp.dest = htons(server_port);
  frame.tcp.seq = htonl(1);
  frame.tcp.doff = (sizeof(tcphdr) + tcp_options.size()) / 4;
  frame.tcp.syn = 1;
  frame.tcp.window = htons(64240);
  frame.options = tcp_options;
  return frame;
}

// Writes SYN number `count` into a frame made from the template.
class SynWriter
{
public:
  explicit SynWriter(const Frame& base)
      : ip_sum_{sum_of_words(std::as_bytes(std::span{&base, 1}).subspan(sizeof(ether_header), sizeof(iphdr)))}
      , tcp_sum_{sum_of_words(std::as_bytes(std::span{&base, 1}).subspan(sizeof(ether_header) + sizeof(iphdr))) +
                 (base.ip.daddr & 0xffffU) + (base.ip.daddr >> 16U) + htons(IPPROTO_TCP) +
                 htons(sizeof(tcphdr) + tcp_options.size())}
  {}

  void write(Frame& frame, std::uint32_t count) const
  {
    const std::uint32_t source = htonl(first_source + count / ports);
    const std::uint16_t port = htons(static_cast<std::uint16_t>(first_port + count % ports));
    const std::uint32_t source_sum = (source & 0xffffU) + (source >> 16U);
    frame.ip.saddr = source;
    frame.ip.check = fold(ip_sum_ + source_sum);
    frame.tcp.source = port;
    frame.tcp.check = fold(tcp_sum_ + source_sum + port);
  }

private:
  std::uint32_t ip_sum_;
  std::uint32_t tcp_sum_;
};

pepsal::FileDescriptor open_interface(const std::string& name)
{
  const auto index = ::if_nametoindex(name.c_str());
  if (index == 0) {
    throw pepsal::SystemError{errno, name};
  }
  pepsal::FileDescriptor socket{check("packet socket", ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))};
  const int on = 1;
  check("setsockopt PACKET_QDISC_BYPASS",
        ::setsockopt(socket.number(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(index);
  check("bind " + name, ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  return socket;
}

// Sends SYNs for `time`, of which `different` in a row differ. Returns how many.
std::uint64_t blast(int socket, const Frame& base, std::uint32_t different, std::chrono::nanoseconds time)
{
  constexpr std::size_t batch_frames = 64;
  std::vector<Frame> frames(batch_frames, base);
  std::array<iovec, batch_frames> vectors{};
  std::array<mmsghdr, batch_frames> messages{};
  for (std::size_t i = 0; i < batch_frames; ++i) {
    vectors[i] = {.iov_base = &frames[i], .iov_len = sizeof(Frame)};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const SynWriter writer{base};
  const auto end = Clock::now() + time;
  std::uint64_t sent = 0;
  while (Clock::now() < end) {
    for (std::size_t i = 0; i < batch_frames; ++i) {
      writer.write(frames[i], static_cast<std::uint32_t>((sent + i) % different));
    }
    for (std::size_t done = 0; done < batch_frames;) {
      done += static_cast<std::size_t>(
          check("sendmmsg", ::sendmmsg(socket, &messages[done], static_cast<unsigned>(batch_frames - done), 0)));
    }
    sent += batch_frames;
  }
  return sent;
}

ether_addr hardware_address(const char* text)
{
  ether_addr address{};
  if (::ether_aton_r(text, &address) == nullptr) {
    throw std::invalid_argument{fmt::format("'{}' is not an Ethernet address", text)};
  }
  return address;
}

std::uint32_t positive_number(std::string_view text)
{
  std::uint32_t value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0) {
    throw std::invalid_argument{fmt::format("'{}' is not a number from 1 on", text)};
  }
  return value;
}

void run(char** arguments)
{
  in_addr server{};
  if (::inet_pton(AF_INET, arguments[4], &server) != 1) {
    throw std::invalid_argument{fmt::format("'{}' is not an IPv4 address", arguments[4])};
  }
  const auto socket = open_interface(arguments[1]);
  const auto base = frame_template(hardware_address(arguments[2]), hardware_address(arguments[3]), server);
  const auto begin = Clock::now();
  const auto sent =
      blast(socket.number(), base, positive_number(arguments[5]), std::chrono::seconds{positive_number(arguments[6])});
  const std::chrono::duration<double> took = Clock::now() - begin;
  fmt::print("sent {}\nseconds {:.3f}\n", sent, took.count());
}

} // namespace

int main(int argc, char** argv)
{
  constexpr int exit_usage = 2;
  if (argc != 7) {
    fmt::print(stderr, "usage: syn_blast INTERFACE FROM-MAC TO-MAC SERVER-IPV4 DIFFERENT-SYNS SECONDS\n");
    return exit_usage;
  }
  try {
    run(argv);
    return EXIT_SUCCESS;
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "syn_blast: {}\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "syn_blast: {}\n", error.what());
    return EXIT_FAILURE;
  }
}
