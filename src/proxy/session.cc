// One proxied connection after the dial, in the main thread of a proxy; session_end.cc ends it. Whatever breaks, both
// hosts see a reset and never a false clean end; a connection that ends in good order is not broken by what happens
// afterwards to a host that has said everything it had to say. SystemError for what the kernel never refuses.

#include "proxy/session.hh"

#include <algorithm>
#include <array>
#include <ctime>
#include <span>

#include <netinet/tcp.h>
#include <poll.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr int push_interval_ms = 2; // during a handshake

// Takes nanoseconds instead of a system call: milliseconds are precise enough here.
std::chrono::steady_clock::time_point coarse_now()
{
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::steady_clock::time_point{std::chrono::seconds{now.tv_sec} +
                                               std::chrono::nanoseconds{now.tv_nsec}};
}

} // namespace

Session::Session(ConnectionTable& table, TCPSocket client, const LegProfile& client_profile,
                 const Connection& connection, std::optional<ConnectionTable::Claim> claim, LogConnections log,
                 Memory& memory)
    : table_{table}
    , client_{std::move(client), client_profile}
    , server_{TCPSocket{}, client_profile}
    , connection_{connection}
    , claim_{claim}
    , log_{log}
    , memory_{memory}
    , started_{boot_time_now()}
{
  up_.bytes = claim_ ? &table_.bytes_up(*claim_) : &up_.own_bytes;
  down_.bytes = claim_ ? &table_.bytes_down(*claim_) : &down_.own_bytes;
  up_.dscp = connection_.syn.dscp(); // with which the server was dialled
  if (claim_) {
    up_.told_dscp = &table_.dscp_up(*claim_);
    down_.told_dscp = &table_.dscp_down(*claim_);
  }
}

void Session::open(TCPSocket server, const LegProfile& server_profile, std::uint64_t first_bytes)
{
  server_ = Leg{std::move(server), server_profile};
  up_.bytes->fetch_add(first_bytes);
  if (claim_) {
    table_.set_open(*claim_);
  }
  table_.count(Counter::connections_opened);
}

void Session::run()
{
  const std::span memory{memory_};
  up_.flow.emplace(client_.socket, server_.socket, *up_.bytes, memory.first<Flow::buffer_bytes>());
  down_.flow.emplace(server_.socket, client_.socket, *down_.bytes, memory.last<Flow::buffer_bytes>());
  up_.ready = true; // most clients have sent something by now
  inspection_.begin(coarse_now());
  while (up_.is_open() || down_.is_open()) {
    move(up_);
    move(down_);
    share_work();
    if (up_.is_open() || down_.is_open()) {
      wait();
    }
  }
  take_flow_back();
  finish();
}

void Session::move(Direction& direction)
{
  follow_dscp(direction);
  if (!moves_here(direction) || !direction.ready) {
    return;
  }
  direction.flow->advance();
  settle(direction);
}

// A packet with another DSCP is recorded before it reaches its socket, and so before its bytes are read.
void Session::follow_dscp(Direction& direction)
{
  if (direction.told_dscp == nullptr) {
    return;
  }
  const std::uint8_t told = direction.told_dscp->load(std::memory_order_relaxed) & SynAttributes::dscp_mask;
  if (told != direction.dscp) {
    direction.dscp = told;
    direction.to.socket.set_traffic_class(told);
  }
}

// Acts on the state that a flow has reached.
void Session::settle(Direction& direction)
{
  switch (direction.flow->state()) {
  case Flow::State::flowing:
    if (direction.from.is_silent && direction.flow->is_starved()) {
      source_ended(direction); // it is gone, and so is everything it had sent
    }
    return;
  case Flow::State::ended:
    source_ended(direction);
    return;
  case Flow::State::source_failed:
    fail_leg(direction.from, direction.flow->error());
    source_ended(direction);
    return;
  case Flow::State::sink_failed:
    fail_leg(direction.to, direction.flow->error());
    return;
  }
}

void Session::source_ended(Direction& direction)
{
  if (!direction.is_open()) {
    return;
  }
  if (direction.from.has_failed() && !direction.from.fin_arrived) {
    direction.end = Direction::End::broken;
    return;
  }
  direction.from.fin_arrived = true;
  direction.from.leave_rest_to_kernel();
  direction.fin_due = true;
  if (!in_handshake_) { // in which a FIN would get lost on some kernels
    pass_fin(direction);
  }
}

void Session::pass_fin(Direction& direction)
{
  if (::shutdown(direction.to.socket.number(), SHUT_WR) == -1) {
    // A warm connection may have received the FIN while its answer was awaited, and have ended the other way since:
    // then it is closed, in good order.
    const int error = errno == ENOTCONN ? direction.to.socket.take_error() : errno;
    if (error != 0) {
      fail_leg(direction.to, error);
      return;
    }
  }
  direction.end = Direction::End::passed_on;
  direction.to.fin_sent = true;
  direction.to.leave_rest_to_kernel();
}

// Data for a failed leg have nowhere to go. What it had sent before is still read and passed on.
void Session::fail_leg(Leg& leg, int error)
{
  leg.fail(error);
  leg.is_silent = true;
  if (first_failed_ == nullptr) {
    first_failed_ = &leg;
  }
  auto& towards = &leg == &client_ ? down_ : up_;
  if (towards.is_open()) {
    towards.end = Direction::End::broken;
  }
}

// Bulk in both directions is worth a second thread.
void Session::share_work()
{
  if (up_.is_open() && down_.is_open() && !down_.fin_due && !thread_.is_running() && !thread_refused_ &&
      up_.flow->is_bulk() && down_.flow->is_bulk()) {
    thread_refused_ = !thread_.start(*down_.flow);
  }
}

void Session::take_flow_back()
{
  if (thread_.is_running()) {
    thread_.recall();
    down_.ready = true;
    settle(down_);
  }
}

short Session::events_of(const Leg& leg) const
{
  unsigned events = leg.fin_arrived ? 0 : POLLRDHUP;
  for (const auto* direction : {&up_, &down_}) {
    if (moves_here(*direction)) {
      const auto awaited = direction->flow->awaited();
      events |= awaited.fd == leg.socket.number() ? static_cast<unsigned>(awaited.events) : 0U;
    }
  }
  return static_cast<short>(events);
}

int Session::time_to_wait_ms() const
{
  for (const auto* direction : {&up_, &down_}) {
    if (moves_here(*direction) && direction->from.is_silent &&
        direction->flow->awaited().fd == direction->from.socket.number()) {
      return 0; // what it has left can be read at once
    }
  }
  if (in_handshake_) {
    return push_interval_ms;
  }
  const auto left = inspection_.due() - coarse_now();
  return static_cast<int>(std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(left).count()));
}

void Session::wait()
{
  for (auto* leg : {&client_, &server_}) {
    if (leg->fin_arrived && leg->probes) {
      leg->stop_probing();
    }
  }
  std::array<pollfd, 3> watched{
      pollfd{.fd = client_.is_silent ? -1 : client_.socket.number(), .events = events_of(client_), .revents = 0},
      pollfd{.fd = server_.is_silent ? -1 : server_.socket.number(), .events = events_of(server_), .revents = 0},
      pollfd{.fd = thread_.is_running() ? thread_.given_back() : -1, .events = POLLIN, .revents = 0}};
  const int ready = ::poll(watched.data(), watched.size(), time_to_wait_ms());
  if (ready == -1 && errno != EINTR) {
    throw SystemError{errno, "poll"};
  }
  constexpr short ended = POLLERR | POLLHUP;
  if (ready > 0 && ((watched[0].revents | watched[1].revents) & ended) != 0) {
    watched[2].revents = POLLIN; // the thread may have consumed the error
  }
  if (watched[2].revents != 0) {
    take_flow_back();
  }
  note_events(client_, watched[0].revents);
  note_events(server_, watched[1].revents);
  for (auto* direction : {&up_, &down_}) {
    if (!moves_here(*direction)) {
      continue;
    }
    const auto awaited = direction->flow->awaited();
    const bool at_client = awaited.fd == client_.socket.number();
    const auto events = watched[at_client ? 0 : 1].revents;
    direction->ready = (events & (awaited.events | ended)) != 0 || (at_client ? client_ : server_).is_silent;
  }
  if (in_handshake_) {
    push_handshake();
  }
  if (const auto now = coarse_now(); now >= inspection_.due()) {
    inspect(now);
  }
}

void Session::note_events(Leg& leg, short events)
{
  if ((events & (POLLERR | POLLHUP)) != 0) {
    if (const int error = leg.socket.take_error(); error != 0) {
      fail_leg(leg, error);
    } else if ((events & POLLHUP) != 0) {
      leg.is_silent = true; // both directions have ended there, or the flow will find out what has happened
    }
  } else if ((events & POLLRDHUP) != 0) {
    leg.fin_arrived = true;
  }
}

// A sender that paces or waits for its queue to drain is resumed by a timer, but the kernel does that only for an
// established connection (tcp_tsq_write). Until then something must push: TCP_NODELAY does.
void Session::push_handshake()
{
  constexpr int pushes = 16; // each sends one piece of 8 segments or more, if there is any
  in_handshake_ = client_.socket.state() == TCP_SYN_RECV;
  if (in_handshake_ && client_.handshake_is_late()) { // a forged SYN must not hold its process any longer
    in_handshake_ = false;
    fail_leg(client_, ETIMEDOUT);
  }
  for (int i = 0; in_handshake_ && i < pushes; ++i) {
    client_.socket.set_nodelay();
  }
  if (!in_handshake_ && down_.is_open() && down_.fin_due) {
    pass_fin(down_);
  }
}

void Session::inspect(Clock::time_point now)
{
  thread_refused_ = false;
  switch (inspection_.look(client_, server_, up_.bytes->load() + down_.bytes->load(), now)) {
  case Inspection::Finding::moving:
    break;
  case Inspection::Finding::quiet:
    if (!thread_.is_running()) {
      up_.flow->rest();
      down_.flow->rest();
    }
    break;
  case Inspection::Finding::client_is_dead:
    take_flow_back();
    fail_leg(client_, ETIMEDOUT);
    break;
  case Inspection::Finding::server_is_dead:
    take_flow_back();
    fail_leg(server_, ETIMEDOUT);
    break;
  }
}

} // namespace pepsal
