// Who is admitted at the warm port, and the wait for a client. Called by a far proxy with an accepted connection.
// Everything read here may come from an attacker: each record is bounded in length and time before it is parsed.

#include "peer/peer_gate.hh"

#include <array>
#include <chrono>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

#include "peer/handshake.hh"
#include "peer/warm_socket.hh"
#include "util/destination.hh"
#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;

// Reads exactly as many bytes as `target` has from a blocking socket. False if they do not arrive in time.
bool read_exactly(const TCPSocket& socket, std::span<std::byte> target, Clock::time_point deadline)
{
  while (!target.empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd readable{.fd = socket.number(), .events = POLLIN, .revents = 0};
    const int ready = left > 0 ? ::poll(&readable, 1, static_cast<int>(left)) : 0;
    if (ready == -1 && errno == EINTR) {
      continue;
    }
    const auto bytes = ready == 1 ? ::recv(socket.number(), target.data(), target.size(), MSG_DONTWAIT) : 0;
    if (bytes == -1 && (errno == EAGAIN || errno == EINTR)) {
      continue;
    }
    if (bytes <= 0) {
      return false;
    }
    target = target.subspan(static_cast<std::size_t>(bytes));
  }
  return true;
}

template<typename Record> bool send_record(const TCPSocket& socket, const Record& record)
{
  return ::send(socket.number(), record.data(), record.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(record.size());
}

} // namespace

PeerGate::PeerGate(const Config& config, const Link* link, const PeerKey* key, ConnectionTable& table,
                   const volatile std::sig_atomic_t& retired, int ending_signal)
    : config_{config}
    , link_{link}
    , key_{key}
    , table_{table}
    , retired_{retired}
    , ending_signal_{ending_signal}
{}

std::optional<ProxyHeader> PeerGate::admit(TCPSocket& socket, const Endpoint& from,
                                           const std::function<void()>& on_waiting)
{
  if (!find_peer(config_.peers.peers, from)) {
    refuse(from, "it is not a --peer");
    return std::nullopt;
  }
  socket.set_reset_on_close(false);
  if (!shake_hands(socket, from)) {
    return std::nullopt;
  }
  watch_idle(socket, Watch::seldom);
  on_waiting();
  if (!wait_for_client(socket)) {
    if (retired_ != 0) {
      send_last_answer(socket, {.kind = PeerAnswer::Kind::retired});
    }
    return std::nullopt;
  }
  socket.set_reset_on_close(true);
  begin_use(socket);
  auto header = read_header(socket);
  if (!header) {
    refuse(from, "what it sends does not begin with a PROXY header of version 2 for TCP");
  }
  return header;
}

bool PeerGate::shake_hands(TCPSocket& socket, const Endpoint& from)
{
  const auto deadline = Clock::now() + patience;
  std::array<std::byte, Greeting::bytes> greeting_record{};
  if (!read_exactly(socket, greeting_record, deadline)) {
    return false; // end of stream, or timeout
  }
  const auto greeting = Greeting::parse(greeting_record);
  if (!greeting) {
    refuse(from, "it does not speak the peers' protocol");
    return false;
  }
  if (link_ != nullptr) {
    open_window(socket, *link_); // the welcome announces it to the near side
  }
  const auto answer = welcome(*greeting, key_);
  Proof proof{};
  if (!send_record(socket, answer.encode())) {
    return false;
  }
  if (answer.verdict == Welcome::Verdict::welcome && !read_exactly(socket, proof, deadline)) {
    return false;
  }
  if (!is_proved(*greeting, answer, proof, key_)) {
    refuse(from, answer.verdict == Welcome::Verdict::welcome        ? "its --peer-key differs"
                 : answer.verdict == Welcome::Verdict::key_required ? "it has no --peer-key"
                 : answer.verdict == Welcome::Verdict::key_unknown  ? "it has a --peer-key, and this box has none"
                                                                    : "it speaks another version");
    return false;
  }
  return true;
}

// The signal that retires this process is blocked except during the wait, so that it cannot arrive between the check
// and the wait.
bool PeerGate::wait_for_client(const TCPSocket& socket) const
{
  sigset_t ending;
  sigset_t before;
  sigemptyset(&ending);
  sigaddset(&ending, ending_signal_);
  ::sigprocmask(SIG_BLOCK, &ending, &before);
  bool readable = false;
  while (!readable && retired_ == 0) {
    pollfd watched{.fd = socket.number(), .events = POLLIN, .revents = 0};
    readable = ::ppoll(&watched, 1, nullptr, &before) == 1;
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  std::byte next{};
  return readable && ::recv(socket.number(), &next, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

std::optional<ProxyHeader> PeerGate::read_header(const TCPSocket& socket)
{
  const auto deadline = Clock::now() + patience;
  std::array<std::byte, ProxyHeader::most_bytes> record{};
  const auto fixed = std::span{record}.first<ProxyHeader::fixed_bytes>();
  if (!read_exactly(socket, fixed, deadline)) {
    return std::nullopt;
  }
  const auto length = ProxyHeader::length_of(fixed);
  if (!length || !read_exactly(socket, std::span{record}.first(*length).subspan(fixed.size()), deadline)) {
    return std::nullopt;
  }
  return ProxyHeader::parse(std::span{record}.first(*length));
}

bool PeerGate::allows(const ProxyHeader& header, const TCPSocket& socket, const Endpoint& from,
                      const std::function<bool(const Endpoint&)>& is_own_address)
{
  const auto problem = problem_of(header, is_own_address);
  if (problem.empty()) {
    return true;
  }
  table_.count(Counter::warm_connections_refused);
  if (const auto held = table_.may_log(LimitedLine::warm_port_refusal, boot_time_now())) {
    log::warning("refused client={} server={} of peer {}: {}; held_back={}", header.client, header.server,
                 from.address_string(), problem, *held);
  }
  send_last_answer(socket, {.kind = PeerAnswer::Kind::refused});
  return false;
}

void PeerGate::refuse(const Endpoint& from, std::string_view reason)
{
  table_.count(Counter::warm_connections_refused);
  if (const auto held = table_.may_log(LimitedLine::warm_port_refusal, boot_time_now())) {
    log::warning("refused {} at the warm port: {}; held_back={}", from, reason, *held);
  }
}

void send_answer(const TCPSocket& socket, const PeerAnswer& answer)
{
  send_record(socket, answer.encode()); // a failure will show while copying
}

void send_last_answer(const TCPSocket& socket, const PeerAnswer& answer)
{
  constexpr std::chrono::seconds patience{5};
  send_answer(socket, answer);
  const linger in_good_order{.l_onoff = 0, .l_linger = 0};
  check("setsockopt SO_LINGER",
        ::setsockopt(socket.number(), SOL_SOCKET, SO_LINGER, &in_good_order, sizeof in_good_order));
  ::shutdown(socket.number(), SHUT_WR);
  std::array<std::byte, 4096> rest;
  while (read_exactly(socket, rest, Clock::now() + patience)) {
  }
}

std::string_view problem_of(const ProxyHeader& header, const std::function<bool(const Endpoint&)>& is_own_address)
{
  if (const auto problem = forbidden_destination(header.server); !problem.empty()) {
    return problem;
  }
  if (is_own_address(header.server)) {
    return "this box itself";
  }
  if (!forbidden_destination(header.client).empty() || is_own_address(header.client)) {
    return "for a client's address that no other host has";
  }
  return header.hops > PeerGate::most_hops ? "through too many boxes" : "";
}

} // namespace pepsal
