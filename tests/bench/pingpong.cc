// Request/response load for scripts/bench: `server` echoes 64-byte messages, `client` keeps one in flight on each of
// its connections and prints percentiles of the latency, `hold` keeps connections open and idle. Each role is one
// thread around epoll(7). Any connection that breaks ends the program with 1.

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "util/endpoint.hh"
#include "util/file_descriptor.hh"
#include "util/system_error.hh"
#include "util/usage_error.hh"

namespace {

using pepsal::check;
using pepsal::Endpoint;
using pepsal::FileDescriptor;
using pepsal::SocketAddress;
using pepsal::UsageError;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t message_bytes = 64;
constexpr int exit_usage = 2;
constexpr auto warm_up = 500ms; // for setting up connections and forking processes; not measured

using Message = std::array<std::byte, message_bytes>;

FileDescriptor tcp_socket(int family, int flags)
{
  FileDescriptor socket{check("socket", ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0))};
  const int on = 1;
  check("setsockopt TCP_NODELAY", ::setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  return socket;
}

// Waits for readable sockets, by descriptor number.
class Poller
{
public:
  void add(int fd)
  {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    check("epoll_ctl", ::epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, fd, &event));
  }

  std::span<const epoll_event> wait()
  {
    const int ready = ::epoll_wait(epoll_.number(), events_.data(), static_cast<int>(events_.size()), -1);
    if (ready == -1 && errno == EINTR) {
      return {};
    }
    return {events_.data(), static_cast<std::size_t>(check("epoll_wait", ready))};
  }

private:
  FileDescriptor epoll_{check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))};
  std::array<epoll_event, 256> events_{};
};

// Returns the bytes read, 0 at the end of the stream.
std::size_t receive(int fd, Message& message)
{
  return static_cast<std::size_t>(check("recv", ::recv(fd, message.data(), message.size(), 0)));
}

void send_all(int fd, std::span<const std::byte> bytes)
{
  while (!bytes.empty()) {
    bytes =
        bytes.subspan(static_cast<std::size_t>(check("send", ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL))));
  }
}

[[noreturn]] void run_server(const SocketAddress& address)
{
  const auto listener = tcp_socket(address.family(), 0);
  const int on = 1;
  check("setsockopt SO_REUSEADDR", ::setsockopt(listener.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  check("bind", ::bind(listener.number(), address.get(), address.length()));
  check("listen", ::listen(listener.number(), SOMAXCONN));
  Poller poller;
  poller.add(listener.number());
  for (Message message{};;) {
    for (const auto& event : poller.wait()) {
      if (event.data.fd == listener.number()) {
        poller.add(check("accept4", ::accept4(listener.number(), nullptr, nullptr, SOCK_CLOEXEC)));
        continue;
      }
      const auto bytes = ::recv(event.data.fd, message.data(), message.size(), 0);
      if (bytes <= 0) {
        const FileDescriptor ended{event.data.fd};
      } else if (::send(event.data.fd, message.data(), static_cast<std::size_t>(bytes), MSG_NOSIGNAL) == -1) {
        const FileDescriptor broken{event.data.fd};
      }
    }
  }
}

struct Conversation
{
  FileDescriptor socket;
  Clock::time_point asked;
  std::size_t answered_bytes{};

  void ask(const Message& question)
  {
    asked = Clock::now();
    answered_bytes = 0;
    send_all(socket.number(), question);
  }
};

std::vector<Conversation> connect_all(const SocketAddress& address, std::size_t count)
{
  std::vector<Conversation> conversations;
  conversations.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto socket = tcp_socket(address.family(), 0);
    check("connect", ::connect(socket.number(), address.get(), address.length()));
    conversations.push_back({.socket = std::move(socket), .asked = {}});
  }
  return conversations;
}

using Latencies = std::vector<std::chrono::nanoseconds>;

Latencies converse(std::vector<Conversation>& conversations, std::chrono::nanoseconds time)
{
  Poller poller;
  std::vector<Conversation*> by_descriptor;
  Message message{};
  for (auto& conversation : conversations) {
    const auto index = static_cast<std::size_t>(conversation.socket.number());
    by_descriptor.resize(std::max(by_descriptor.size(), index + 1));
    by_descriptor[index] = &conversation;
    poller.add(conversation.socket.number());
    conversation.ask(message);
  }
  Latencies latencies;
  latencies.reserve(1 << 20);
  const auto begin = Clock::now() + warm_up;
  for (auto now = Clock::now(); now < begin + time; now = Clock::now()) {
    for (const auto& event : poller.wait()) {
      auto& conversation = *by_descriptor[static_cast<std::size_t>(event.data.fd)];
      const auto bytes = receive(event.data.fd, message);
      if (bytes == 0) {
        throw std::runtime_error{"the server closed a connection"};
      }
      conversation.answered_bytes += bytes;
      if (conversation.answered_bytes == message_bytes) {
        const auto answered = Clock::now();
        if (conversation.asked >= begin) {
          latencies.push_back(answered - conversation.asked);
        }
        conversation.ask(message);
      }
    }
  }
  return latencies;
}

double percentile_us(Latencies& latencies, double share)
{
  const auto rank = static_cast<std::ptrdiff_t>(static_cast<double>(latencies.size() - 1) * share);
  std::nth_element(latencies.begin(), latencies.begin() + rank, latencies.end());
  return std::chrono::duration<double, std::micro>(latencies[static_cast<std::size_t>(rank)]).count();
}

void run_client(const SocketAddress& address, std::size_t connections, std::chrono::seconds time)
{
  auto conversations = connect_all(address, connections);
  auto latencies = converse(conversations, time);
  if (latencies.empty()) {
    throw std::runtime_error{"no answer at all"};
  }
  fmt::print("answers {}\nmedian_us {:.2f}\np99_us {:.2f}\np999_us {:.2f}\n", latencies.size(),
             percentile_us(latencies, 0.5), percentile_us(latencies, 0.99), percentile_us(latencies, 0.999));
}

// One message goes over each connection first, so that everything that is set up lazily exists.
void run_holder(const SocketAddress& address, std::size_t connections)
{
  auto conversations = connect_all(address, connections);
  Message message{};
  for (auto& conversation : conversations) {
    conversation.ask(message);
    while (conversation.answered_bytes < message_bytes) {
      const auto bytes = receive(conversation.socket.number(), message);
      if (bytes == 0) {
        throw std::runtime_error{"the server closed a connection"};
      }
      conversation.answered_bytes += bytes;
    }
  }
  fmt::print("holding {}\n", connections);
  std::fflush(stdout);
  ::pause();
}

template<typename Number> Number number(std::string_view text, Number least, Number most)
{
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
    throw UsageError{fmt::format("'{}' is not a number from {} to {}", text, least, most)};
  }
  return value;
}

SocketAddress address_of(std::string_view host, std::string_view port)
{
  const auto endpoint = Endpoint::parse(host, number<std::uint16_t>(port, 1, 65535));
  if (!endpoint) {
    throw UsageError{fmt::format("'{}' is not a numeric IPv4 or IPv6 address", host)};
  }
  return SocketAddress{*endpoint};
}

void run(std::span<const std::string_view> arguments)
{
  constexpr std::size_t most_connections = 10'000;
  if (arguments.size() == 3 && arguments[0] == "server") {
    run_server(address_of(arguments[1], arguments[2]));
  }
  if (arguments.size() == 4 && arguments[0] == "hold") {
    return run_holder(address_of(arguments[1], arguments[2]), number<std::size_t>(arguments[3], 1, most_connections));
  }
  if (arguments.size() == 5 && arguments[0] == "client") {
    return run_client(address_of(arguments[1], arguments[2]), number<std::size_t>(arguments[3], 1, most_connections),
                      std::chrono::seconds{number<int>(arguments[4], 1, 3600)});
  }
  throw UsageError{"usage: pingpong server ADDRESS PORT | client ADDRESS PORT CONNECTIONS SECONDS | "
                   "hold ADDRESS PORT CONNECTIONS"};
}

} // namespace

int main(int argc, char** argv)
{
  try {
    const std::vector<std::string_view> arguments{argv + 1, argv + argc};
    run(arguments);
    return EXIT_SUCCESS;
  } catch (const UsageError& error) {
    fmt::print(stderr, "pingpong: {}\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "pingpong: {}\n", error.what());
    return EXIT_FAILURE;
  }
}
