// The end of a session, in the main thread of a proxy: what is still in flight is delivered, then each host sees a
// clean end or a reset, the log gets a line, and the slot is freed. SystemError for what the kernel never refuses.

#include <cerrno>

#include <fmt/core.h>
#include <sys/socket.h>

#include "proxy/closing_line.hh"
#include "proxy/session.hh"

namespace pepsal {

// Both directions have ended. Nothing is given up while its receiver is alive: the process waits for a slow one.
void Session::finish()
{
  for (auto* leg : {&client_, &server_}) {
    if (const int error = leg->has_failed() ? 0 : leg->socket.take_error(); error != 0) { // at the last moment
      fail_leg(*leg, error);
    }
  }
  for (auto* leg : {&client_, &server_}) {
    // The kernel delivers by itself what fits into the host's window.
    const auto bytes = leg->unacknowledged_bytes();
    if (first_failed_ == nullptr && bytes > 0 && bytes > tcp_facts(leg->socket).host_window_bytes) {
      deliver(*leg);
    }
  }
  if (first_failed_ != nullptr) {
    close_after(*first_failed_);
    return;
  }
  client_.end_in_good_order();
  server_.end_in_good_order();
  close(Counter::connections_closed, "finished");
}

void Session::deliver(Leg& leg)
{
  if (const int error = leg.deliver(); error != 0) {
    fail_leg(leg, error);
  }
}

// Whether the failure of a leg costs nobody any data: its host has said and been told everything, and so has the other,
// or the other is about to end with nothing more to say.
bool Session::ended_in_good_order(const Leg& failed, const Direction& from_failed, const Direction& to_failed)
{
  if (from_failed.end != Direction::End::passed_on || from_failed.to.has_failed()) {
    return false;
  }
  if (to_failed.end == Direction::End::passed_on) {
    constexpr std::uint32_t fin = 1;
    return failed.unacknowledged_bytes() <= fin;
  }
  char byte{};
  return ::recv(to_failed.from.socket.number(), &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void Session::close_after(const Leg& failed)
{
  const bool client_failed = &failed == &client_;
  auto& other = client_failed ? server_ : client_;
  if (!other.has_failed()) {
    deliver(other);
  }
  if (client_failed ? ended_in_good_order(client_, up_, down_) : ended_in_good_order(server_, down_, up_)) {
    other.end_in_good_order();
    close(Counter::connections_closed, "finished");
    return;
  }
  const auto* side = client_failed ? "client" : "server";
  switch (failed.error) {
  case ECONNRESET:
  case EPIPE:
  case ENOTCONN:
    close(Counter::connections_reset, fmt::format("reset-by-{}", side));
    return;
  case ETIMEDOUT:
    close(Counter::connections_timed_out, fmt::format("timeout-of-{}", side));
    return;
  default:
    close(Counter::connections_reset, fmt::format("error-{}-of-{}", failed.error, side));
  }
}

void Session::close(Counter counter, std::string_view reason)
{
  const ClosingLine line{client_, server_, connection_, boot_time_now() - started_};
  const auto up = up_.bytes->load();
  const auto down = down_.bytes->load();
  table_.count(counter);
  table_.count(Counter::bytes_up, up);
  table_.count(Counter::bytes_down, down);
  table_.count(Counter::retransmissions_client, line.client().retransmissions);
  table_.count(Counter::retransmissions_server, line.server().retransmissions);
  for (auto* leg : {&client_, &server_}) {
    if (leg->has_failed()) {
      leg->socket.set_reset_on_close(true); // the kernel must not continue with it
    }
    leg->socket.close();
  }
  if (log_ == LogConnections::all || (log_ == LogConnections::failed && counter != Counter::connections_closed)) {
    line.write(up, down, reason);
  }
  if (claim_) {
    table_.release(*claim_); // last: a free slot promises a process
  }
}

} // namespace pepsal
