// The server leg over a peer: one warm connection becomes one client's. Called by a near proxy instead of dial(). What
// the peer did not pass on may be sent again over another path; if that is in doubt, the connection fails. Only a lack
// of memory throws.

#include "proxy/peer_leg.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include <fmt/core.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "link/figures.hh"
#include "peer/answer.hh"
#include "peer/proxy_header.hh"
#include "peer/warm_socket.hh"
#include "proxy/dial.hh"
#include "tcp/listener.hh"
#include "tcp/tcp_facts.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t piece_bytes = 16 * 1024;
constexpr std::size_t kept_bytes_without_rates = 4 * 1024 * 1024;

// How many of the client's bytes are passed on before the answer, and kept so that they can be sent again over another
// path: what the link can take in two round trips.
std::size_t most_kept_bytes(const Link& link)
{
  constexpr std::size_t least = 256 * 1024;
  return link.has_rates() ? std::max<std::size_t>(least, 2 * std::size_t{leg_figures(link).bytes_in_flight})
                          : kept_bytes_without_rates;
}

// The far side gives up its dial after --connect-timeout; its answer takes time to arrive here.
constexpr std::chrono::seconds answer_patience{5};

class PeerDialler
{
public:
  PeerDialler(const Config& config, const Link& link, const TCPSocket& client, TCPSocket warm,
              std::vector<std::byte> header)
      : client_{client}
      , warm_{std::move(warm)}
      , header_{std::move(header)}
      , deadline_{Clock::now() + config.connect_timeout + answer_patience}
      , most_kept_{most_kept_bytes(link)}
  {}

  enum class Outcome
  {
    open, // not decided yet
    answered,
    not_passed_on,
    in_doubt,
    silent,
    client_gone
  };

  // Sends header and first bytes in one segment, then whatever else the client sends, until the far side answers.
  Outcome run()
  {
    if (!take_from_client()) {
      return Outcome::client_gone;
    }
    while (!header_.empty()) {
      if (const auto outcome = send_header(); outcome != Outcome::open) {
        return outcome;
      }
      if (!header_.empty() && !wait()) {
        return Outcome::silent;
      }
    }
    for (;;) {
      if (!wait()) {
        return Outcome::silent;
      }
      if (const auto outcome = read_answer(); outcome != Outcome::open) {
        return outcome;
      }
      if (const auto outcome = pass_up(); outcome != Outcome::open) {
        return outcome;
      }
    }
  }

  const PeerAnswer& answer() const { return answer_; }
  // Whether the far side has acknowledged everything that was sent.
  bool is_heard() const { return tcp_facts(warm_).unacknowledged_segments == 0; }
  TCPSocket take_socket() { return std::move(warm_); }
  std::uint64_t passed_bytes() const { return passed_bytes_; }
  std::vector<std::byte> take_kept() { return std::move(kept_); }

private:
  // Takes the first bytes that the client has already sent from its socket; like everything sent, they are kept. False
  // if it has been reset, which a socket reports only once: afterwards it seems to have ended in good order.
  bool take_from_client()
  {
    std::array<std::byte, piece_bytes> piece;
    const auto bytes = ::recv(client_.number(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (bytes > 0) {
      const std::span first{piece.data(), static_cast<std::size_t>(bytes)};
      header_.insert(header_.end(), first.begin(), first.end());
      keep(first);
      passed_bytes_ += first.size();
    }
    return bytes != -1 || errno == EAGAIN || errno == EINTR;
  }

  Outcome send_header()
  {
    const auto sent = ::send(warm_.number(), header_.data(), header_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == -1) {
      // If the kernel refuses the header's first piece, none of it has been sent.
      return errno == EAGAIN || errno == EINTR ? Outcome::open
             : header_sent_                    ? Outcome::in_doubt
                                               : Outcome::not_passed_on;
    }
    header_sent_ = true;
    header_.erase(header_.begin(), header_.begin() + sent);
    return Outcome::open;
  }

  void keep(std::span<const std::byte> bytes) { kept_.insert(kept_.end(), bytes.begin(), bytes.end()); }

  std::size_t room() const { return most_kept_ - std::min(most_kept_, kept_.size()); }

  bool wait()
  {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    const bool sink_full = sink_full_ || !header_.empty();
    watched_ = {
        pollfd{.fd = warm_.number(), .events = static_cast<short>(sink_full ? POLLIN | POLLOUT : POLLIN), .revents = 0},
        pollfd{.fd = client_.number(),
               .events = static_cast<short>(client_ended_ || sink_full || room() == 0 ? 0 : POLLIN),
               .revents = 0}};
    return left > 0 && ::poll(watched_.data(), watched_.size(), static_cast<int>(left)) != 0;
  }

  // The far side has passed nothing on if and only if it says so, or ends the stream without an answer: until the
  // header reaches it, the end of its process, even by SIGKILL, is a FIN, and from then on a reset (see PeerGate). A
  // reset that follows a FIN shows as an end of stream, one without as ECONNRESET: then the far box may have passed on
  // what was sent before it was lost. If none of the client's bytes were sent, nothing can be passed on twice.
  Outcome read_answer()
  {
    const auto bytes = ::recv(warm_.number(), record_.data() + received_, record_.size() - received_, MSG_DONTWAIT);
    if (bytes == -1) {
      if (errno == EAGAIN || errno == EINTR) {
        return Outcome::open;
      }
      return received_ == 0 && passed_bytes_ == 0 ? Outcome::not_passed_on : Outcome::in_doubt;
    }
    if (bytes == 0) {
      return received_ == 0 && !error_taken_ ? Outcome::not_passed_on : Outcome::in_doubt;
    }
    received_ += static_cast<std::size_t>(bytes);
    if (received_ < record_.size()) {
      return Outcome::open;
    }
    const auto answer = PeerAnswer::parse(record_);
    if (!answer) {
      return Outcome::in_doubt;
    }
    answer_ = *answer;
    if (answer->kind == PeerAnswer::Kind::retired || answer->kind == PeerAnswer::Kind::refused) {
      return Outcome::not_passed_on;
    }
    return Outcome::answered;
  }

  // Bytes are removed from the client's socket only after the warm one has taken them: none is held here when the
  // answer comes.
  Outcome pass_up()
  {
    if ((watched_[0].revents & POLLOUT) != 0) {
      sink_full_ = false;
    }
    if (client_ended_ || sink_full_ || error_taken_ || room() == 0) {
      return (watched_[1].revents & (POLLERR | POLLHUP)) != 0 && client_.state() == TCP_CLOSE ? Outcome::client_gone
                                                                                              : Outcome::open;
    }
    std::array<std::byte, piece_bytes> piece;
    const auto available =
        ::recv(client_.number(), piece.data(), std::min(piece.size(), room()), MSG_PEEK | MSG_DONTWAIT);
    if (available == -1) {
      return errno == EAGAIN || errno == EINTR ? Outcome::open : Outcome::client_gone;
    }
    if (available == 0) {
      client_ended_ = true;
      ::shutdown(warm_.number(), SHUT_WR); // a failure will show in the answer
      return Outcome::open;
    }
    const auto sent =
        ::send(warm_.number(), piece.data(), static_cast<std::size_t>(available), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == -1) {
      if (errno == EAGAIN || errno == EINTR) {
        sink_full_ = true;
      } else {
        error_taken_ = errno != EPIPE; // EPIPE: the FIN came first, and recv() will report it
      }
      return Outcome::open;
    }
    const auto taken = static_cast<std::size_t>(sent);
    ::recv(client_.number(), piece.data(), taken, MSG_DONTWAIT); // what was peeked at before
    keep(std::span{piece}.first(taken));
    passed_bytes_ += taken;
    sink_full_ = sent < available;
    return Outcome::open;
  }

  const TCPSocket& client_;
  TCPSocket warm_;
  std::vector<std::byte> header_; // and first bytes: the part not sent yet
  bool header_sent_{};            // at least part of it
  Clock::time_point deadline_;
  std::array<pollfd, 2> watched_{};
  std::array<std::byte, PeerAnswer::bytes> record_{};
  std::size_t received_{};
  PeerAnswer answer_;
  std::vector<std::byte> kept_; // everything that the client sent, to send it again
  std::size_t most_kept_;
  std::uint64_t passed_bytes_{};
  bool sink_full_{};
  bool client_ended_{};
  bool error_taken_{}; // a reset was seen while sending, so an end of stream read later is not a clean one
};

} // namespace

PeerLeg dial_by_peer(const Config& config, ConnectionTable& table, WarmQueue& queue, const Peer& peer,
                     const Connection& connection, const TCPSocket& client, const Link& link, std::uint8_t hops)
{
  using Outcome = PeerDialler::Outcome;
  const ProxyHeader header{.client = connection.client,
                           .server = connection.server,
                           .traffic_class = connection.syn.traffic_class,
                           .hops = static_cast<std::uint8_t>(hops + 1)};
  const auto may_be_used = [&peer](const TCPSocket& warm) {
    return is_idle_and_alive(warm) && warm.remote_endpoint() == peer.address;
  };
  auto ticket = queue.take();
  while (ticket && !may_be_used(ticket->socket)) {
    table.count(Counter::warm_connections_dead);
    ticket = queue.take();
  }
  if (!ticket) {
    table.count(Counter::warm_connections_missing);
    return {};
  }
  apply_profile(ticket->socket, profile_of(config, &link)); // instead of the probing of an idle connection
  begin_use(ticket->socket);
  if (const auto dscp = connection.syn.dscp(); dscp != 0) {
    ticket->socket.set_traffic_class(dscp);
  }
  PeerDialler dialler{config, link, client, std::move(ticket->socket), header.encode()};
  switch (dialler.run()) {
  case Outcome::answered:
    break;
  case Outcome::client_gone:
    return {.end = PeerLeg::End::client_gone};
  case Outcome::not_passed_on:
    table.count(Counter::warm_connections_dead);
    return {.unsent = dialler.take_kept()};
  case Outcome::open:
  case Outcome::in_doubt:
    queue.report_lost(ticket->serial);
    return {.end = PeerLeg::End::failed, .reason = "peer-lost", .error = ECONNRESET};
  case Outcome::silent:
    if (!dialler.is_heard()) { // otherwise the far side is alive, and waits for the server longer than this one
      queue.report_lost(ticket->serial);
    }
    return {.end = PeerLeg::End::failed, .reason = "peer-silent", .error = ETIMEDOUT};
  }
  table.count(Counter::warm_connections_used);
  if (dialler.answer().kind != PeerAnswer::Kind::connected) {
    return {.end = PeerLeg::End::failed,
            .reason = fmt::format("dial-{}-at-peer", dial_failure(dialler.answer().error)),
            .error = dialler.answer().error};
  }
  return {.end = PeerLeg::End::connected, .socket = dialler.take_socket(), .first_bytes = dialler.passed_bytes()};
}

bool send_unsent(const Config& config, const TCPSocket& server, std::span<const std::byte> unsent)
{
  const auto deadline = Clock::now() + config.connect_timeout;
  while (!unsent.empty()) {
    const auto sent = ::send(server.number(), unsent.data(), unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == -1 && errno != EAGAIN && errno != EINTR) {
      return false;
    }
    unsent = unsent.subspan(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd writable{.fd = server.number(), .events = POLLOUT, .revents = 0};
    if (left <= 0 || (!unsent.empty() && ::poll(&writable, 1, static_cast<int>(left)) == 0)) {
      return false;
    }
  }
  return true;
}

} // namespace pepsal
