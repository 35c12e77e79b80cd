#pragma once

#include "support/child_process.hh"
#include "support/eventually.hh"
#include "support/sandbox.hh"

#include "util/endpoint.hh"
#include "util/system_error.hh"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pepsal::test {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::size_t udp_headers = 28; // IPv4 and UDP
constexpr std::uint16_t port = 7000;

inline nanoseconds wall_clock()
{
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return seconds{time.tv_sec} + nanoseconds{time.tv_nsec};
}

inline void sleep_until(nanoseconds when)
{
  const auto rest = when - wall_clock();
  if (rest > nanoseconds{}) {
    std::this_thread::sleep_for(rest);
  }
}

// The beginning of every datagram in these tests.
struct Stamp
{
  std::uint32_t number;
  nanoseconds sent;
};

struct Arrival
{
  std::uint32_t number;
  nanoseconds sent;
  nanoseconds received; // by the kernel, so that the test's own delays do not count
  std::size_t ip_bytes;

  nanoseconds took() const { return received - sent; }
};

// The terminal's and the gateway's namespace, satsim between them, and a socket in each.
class Fabric
{
public:
  explicit Fabric(const std::vector<std::string>& arguments)
      : satsim_{make_command(arguments)}
      , a_socket_{bind_in(a_, "10.9.0.1")}
      , b_socket_{bind_in(b_, "10.9.0.2")}
  {}

  ChildProcess& satsim() { return satsim_; }
  const NetworkNamespace& a() const { return a_; }
  const NetworkNamespace& b() const { return b_; }

  int a_socket() const { return a_socket_.number(); }
  int b_socket() const { return b_socket_.number(); }

  static void send(int socket, const char* to, std::uint32_t number, std::size_t ip_bytes)
  {
    std::array<std::byte, 1500> packet{};
    const Stamp stamp{number, wall_clock()};
    std::memcpy(packet.data(), &stamp, sizeof stamp);
    const SocketAddress address{*Endpoint::parse(to, port)};
    check("sendto", ::sendto(socket, packet.data(), ip_bytes - udp_headers, 0, address.get(), address.length()));
  }
  void send_down(std::uint32_t number, std::size_t ip_bytes) const { send(b_socket(), "10.9.0.1", number, ip_bytes); }
  void send_up(std::uint32_t number, std::size_t ip_bytes) const { send(a_socket(), "10.9.0.2", number, ip_bytes); }

  // Everything that arrives until nothing has arrived for `silence`.
  static std::vector<Arrival> receive(int socket, milliseconds silence)
  {
    std::vector<Arrival> arrivals;
    pollfd readable{.fd = socket, .events = POLLIN, .revents = 0};
    while (check("poll", ::poll(&readable, 1, static_cast<int>(silence.count()))) > 0) {
      arrivals.push_back(receive_one(socket));
    }
    return arrivals;
  }

  // The fields of one direction's line, by name.
  std::map<std::string, long> statistics(const std::string& direction)
  {
    const auto before = lines().size();
    satsim_.signal(SIGUSR1);
    eventually([&] { return lines().size() >= before + 2; });
    return fields(direction);
  }

  std::map<std::string, long> fields(const std::string& direction) const
  {
    std::map<std::string, long> result;
    for (const auto& line : lines()) {
      if (line.starts_with("direction=" + direction + " ")) {
        std::istringstream words{line};
        for (std::string word; words >> word;) {
          const auto equals = word.find('=');
          result[word.substr(0, equals)] = std::strtol(word.c_str() + equals + 1, nullptr, 10);
        }
      }
    }
    return result;
  }

private:
  static std::string path_of(const NetworkNamespace& network)
  {
    return fmt::format("/proc/{}/fd/{}", getpid(), network.number());
  }

  Command make_command(const std::vector<std::string>& arguments) const
  {
    Command command;
    command.arguments = {PEPSAL_SATSIM,
                         "--a-namespace",
                         path_of(a_),
                         "--b-namespace",
                         path_of(b_),
                         "--a-address",
                         "10.9.0.1/24,fd00:9::1/64",
                         "--b-address",
                         "10.9.0.2/24,fd00:9::2/64"};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    return command;
  }

  FileDescriptor bind_in(const NetworkNamespace& network, const char* address)
  {
    if (!eventually([&] { return satsim_.out().find("satsim ready") != std::string::npos || !satsim_.is_running(); }) ||
        !satsim_.is_running()) {
      throw std::runtime_error{"satsim did not start: " + satsim_.err()};
    }
    const Visit visit{network};
    FileDescriptor socket{check("socket", ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))};
    const SocketAddress local{*Endpoint::parse(address, port)};
    check("bind", ::bind(socket.number(), local.get(), local.length()));
    const int on = 1;
    const int bytes = 64 << 20;
    check("SO_TIMESTAMPNS", setsockopt(socket.number(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on));
    check("SO_RCVBUFFORCE", setsockopt(socket.number(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes));
    return socket;
  }

  static Arrival receive_one(int socket)
  {
    std::array<std::byte, 1500> packet{};
    std::array<std::byte, 256> control{};
    iovec piece{packet.data(), packet.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto size = check("recvmsg", ::recvmsg(socket, &message, 0));
    Stamp stamp{};
    std::memcpy(&stamp, packet.data(), sizeof stamp);
    timespec received{};
    std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
    return {stamp.number, stamp.sent, seconds{received.tv_sec} + nanoseconds{received.tv_nsec},
            static_cast<std::size_t>(size) + udp_headers};
  }

  std::vector<std::string> lines() const
  {
    std::vector<std::string> result;
    std::istringstream text{satsim_.out()};
    for (std::string line; std::getline(text, line);) {
      result.push_back(line);
    }
    return result;
  }

  NetworkNamespace a_;
  NetworkNamespace b_;
  ChildProcess satsim_;
  FileDescriptor a_socket_;
  FileDescriptor b_socket_;
};

inline nanoseconds quantile(std::vector<nanoseconds> values, double share)
{
  std::ranges::sort(values);
  return values.at(static_cast<std::size_t>(share * static_cast<double>(values.size() - 1)));
}

inline double in_microseconds(nanoseconds time)
{
  return static_cast<double>(time.count()) / 1e3;
}

inline std::vector<nanoseconds> times(const std::vector<Arrival>& arrivals)
{
  std::vector<nanoseconds> result;
  for (const auto& arrival : arrivals) {
    result.push_back(arrival.took());
  }
  return result;
}

// The sender gets its turn even on a busy machine; if that is not permitted, the runs say so.
inline void prefer_this_thread()
{
  sched_param parameters{};
  parameters.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_FIFO, &parameters) != 0) {
    std::cout << "no real-time scheduling for the sender\n";
  }
}

// Sends at a constant rate in small bursts; nobody else may use `socket` meanwhile.
inline void send_at(int socket, const char* to, double bits_per_second, nanoseconds how_long)
{
  prefer_this_thread();
  constexpr std::size_t ip_bytes = 1500;
  const auto start = wall_clock();
  std::uint32_t number = 0;
  for (auto now = start; now < start + how_long; now = wall_clock()) {
    const auto target = static_cast<double>((now - start).count()) * 1e-9 * bits_per_second / 8 / ip_bytes;
    // Even after a delay by the scheduler, a burst has no more than a few packets.
    for (int burst = 0; number < target && burst < 8; ++burst) {
      Fabric::send(socket, to, number++, ip_bytes);
    }
    std::this_thread::sleep_for(microseconds{100});
  }
}

// Bits of IP packets per second between the first and the last arrival.
inline double rate_of(const std::vector<Arrival>& arrivals)
{
  double bits = 0;
  for (std::size_t i = 1; i < arrivals.size(); ++i) {
    bits += static_cast<double>(arrivals[i].ip_bytes) * 8;
  }
  return bits / (static_cast<double>((arrivals.back().received - arrivals.front().received).count()) * 1e-9);
}

// Offers more than the link carries and returns what came out.
inline double measure_rate(Fabric& fabric, bool down, double offered, milliseconds how_long)
{
  std::jthread sender{[&] {
    down ? send_at(fabric.b_socket(), "10.9.0.1", offered, how_long)
         : send_at(fabric.a_socket(), "10.9.0.2", offered, how_long);
  }};
  const auto arrivals = Fabric::receive(down ? fabric.a_socket() : fabric.b_socket(), milliseconds{500});
  return rate_of(arrivals);
}

} // namespace pepsal::test
