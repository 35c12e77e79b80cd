// The life of one proxied connection between dial and closing line. Called by the proxy's two copy
// threads. Whatever breaks, both peers see a reset and never a clean end that is none.

#include "proxy/session.hh"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

Session::Session(ConnectionTable& table, TCPSocket client, const Connection& connection,
                 std::optional<ConnectionTable::Claim> claim, End end)
    : table_{table}
    , client_{std::move(client)}
    , connection_{connection}
    , claim_{claim}
    , end_{end}
    , started_{boot_time_now()}
{
  up_.bytes = claim_ ? &table_.bytes_up(*claim_) : &up_.own_bytes;
  down_.bytes = claim_ ? &table_.bytes_down(*claim_) : &down_.own_bytes;
}

void Session::open(TCPSocket server, std::uint64_t first_bytes)
{
  server_ = std::move(server);
  up_.bytes->fetch_add(first_bytes);
  if (claim_) {
    table_.set_open(*claim_);
  }
  table_.count(Counter::connections_opened);
}

void Session::finish_fast_open()
{
  constexpr int push_interval_ms = 2;
  constexpr int pushes = 16; // each sends one piece of 8 segments or more, if there is any
  std::array<std::byte, 2048> bytes;
  const auto available = ::recv(client_.number(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (available > 0) {
    const auto sent = ::send(server_.number(), bytes.data(), static_cast<std::size_t>(available), MSG_NOSIGNAL);
    if (sent > 0) { // what fails here shows again in copy()
      up_.bytes->fetch_add(static_cast<std::uint64_t>(sent));
      check("recv", ::recv(client_.number(), bytes.data(), static_cast<std::size_t>(sent), 0));
    }
  }
  // A sender that paces or that waits for its queue to drain goes on by a timer, but the kernel does that
  // only for an established connection (tcp_tsq_write). Here something must push: TCP_NODELAY does.
  pollfd readable{.fd = client_.number(), .events = POLLIN, .revents = 0};
  while (client_.state() == TCP_SYN_RECV && ::poll(&readable, 1, push_interval_ms) != 1) {
    for (int i = 0; i < pushes; ++i) {
      client_.set_nodelay();
    }
  }
}

Session::Turn Session::exchange(Stage stage)
{
  constexpr int most_messages = 16;
  constexpr int longest_pause_ms = 100;
  const bool opening = stage == Stage::opening;
  std::array<pollfd, 2> watched{awaited(up_), awaited(down_)};
  watched[0].revents = POLLIN; // most clients have sent something by now
  for (int messages = 0; !opening || messages < most_messages;) {
    for (const auto way : {Way::up, Way::down}) {
      auto& watch = watched[way == Way::up ? 0 : 1];
      if (watch.revents == 0) {
        continue;
      }
      const auto passing = pass_message(direction_of(way));
      if (passing == Passing::ended || (passing == Passing::large && opening)) {
        return {.way = way, .ended = passing == Passing::ended};
      }
      messages += passing == Passing::nothing ? 0 : 1;
      watch = awaited(direction_of(way));
    }
    const int ready = ::poll(watched.data(), watched.size(), opening ? longest_pause_ms : -1);
    if (ready == -1 && errno != EINTR) {
      throw SystemError{errno, "poll"};
    }
    if (ready == 0) {
      break;
    }
  }
  return {.way = Way::up, .ended = false};
}

// What a direction waits for: a message, or room for the rest of one.
pollfd Session::awaited(const Direction& direction)
{
  return direction.held.empty() ? pollfd{.fd = socket_of(direction.from).number(), .events = POLLIN, .revents = 0}
                                : pollfd{.fd = socket_of(direction.to).number(), .events = POLLOUT, .revents = 0};
}

Session::Passing Session::pass_message(Direction& direction)
{
  if (direction.held.empty()) {
    const auto bytes =
        ::recv(socket_of(direction.from).number(), direction.buffer.data(), direction.buffer.size(), MSG_DONTWAIT);
    if (bytes == -1 && (errno == EAGAIN || errno == EINTR)) {
      return Passing::nothing;
    }
    if (bytes <= 0) {
      return Passing::ended; // well or not: copy() finds out
    }
    direction.held = std::span{direction.buffer}.first(static_cast<std::size_t>(bytes));
  }
  const bool full = direction.held.size() == direction.buffer.size();
  const auto sent = ::send(socket_of(direction.to).number(), direction.held.data(), direction.held.size(),
                           MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent == -1) {
    return errno == EAGAIN || errno == EINTR ? Passing::large : Passing::ended;
  }
  const auto taken = static_cast<std::size_t>(sent);
  direction.bytes->fetch_add(taken, std::memory_order_relaxed);
  direction.held = direction.held.subspan(taken);
  return direction.held.empty() && !full ? Passing::small : Passing::large;
}

void Session::copy(Way way, SplicePipe& pipe)
{
  auto& direction = direction_of(way);
  const auto& opposite = way == Way::up ? down_ : up_;
  const auto end = copy_stream(socket_of(direction.from), socket_of(direction.to), direction.held, pipe,
                               *direction.bytes, opposite.fin_sent, direction.fin_sent);
  switch (end.kind) {
  case CopyEnd::Kind::finished:
    break;
  case CopyEnd::Kind::source_failed:
    break_off(direction.from, end.error);
  case CopyEnd::Kind::sink_failed:
    failed_sink_ = direction.to;
    sink_error_ = end.error;
    break;
  }
  if (directions_left_.fetch_sub(1) > 1) {
    return;
  }
  if (sink_error_ != 0) {
    break_off(failed_sink_, sink_error_);
  }
  client_.set_reset_on_close(false);
  server_.set_reset_on_close(false);
  close(Counter::connections_closed, "finished");
  if (end_ == End::process) {
    ::_exit(EXIT_SUCCESS);
  }
}

void Session::break_off(Side failed, int error)
{
  flush(failed == Side::client ? Side::server : Side::client);
  const auto* side = failed == Side::client ? "client" : "server";
  switch (error) {
  case ECONNRESET:
  case EPIPE:
  case ENOTCONN:
    abort(Counter::connections_reset, fmt::format("reset-by-{}", side));
  case ETIMEDOUT:
    abort(Counter::connections_timed_out, fmt::format("timeout-of-{}", side));
  default:
    abort(Counter::connections_reset, fmt::format("error-{}-of-{}", error, side));
  }
}

// A reset discards what the kernel still holds for sending. What the failing side sent in good order is
// given time to leave first; a receiver that takes none of it does not hold up the reset for long.
void Session::flush(Side side)
{
  constexpr auto patience = std::chrono::seconds{5};
  constexpr auto pause = std::chrono::milliseconds{5};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  int unacknowledged_bytes = 0;
  while (::ioctl(socket_of(side).number(), SIOCOUTQ, &unacknowledged_bytes) == 0 && unacknowledged_bytes > 0 &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(pause);
  }
}

void Session::abort(Counter counter, std::string_view reason)
{
  if (aborting_.exchange(true)) {
    for (;;) {
      ::pause(); // the other thread is ending the process
    }
  }
  close(counter, reason);
  ::_exit(EXIT_SUCCESS);
}

void Session::close(Counter counter, std::string_view reason)
{
  const auto up = up_.bytes->load();
  const auto down = down_.bytes->load();
  if (claim_) {
    table_.release(*claim_);
  }
  table_.count(counter);
  table_.count(Counter::bytes_up, up);
  table_.count(Counter::bytes_down, down);
  const std::chrono::duration<double> duration = boot_time_now() - started_;
  log::info("closed client={} server={} up={} down={} duration={:.3f} reason={}", connection_.client,
            connection_.server, up, down, duration.count(), reason);
  client_.close();
  server_.close();
}

} // namespace pepsal
