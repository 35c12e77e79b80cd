// Makes one warm connection: dials over the satellite, greets, reads the welcome, sends the proof. Driven by a peer's
// keeper, which has many at once and waits for all of them together. Every failure is a PeerProblem.

#include "peer/warm_dial.hh"

#include <algorithm>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "peer/warm_socket.hh"
#include "tcp/listener.hh"
#include "tcp/route.hh"
#include "util/system_error.hh"

namespace pepsal {

WarmDial::WarmDial(const Config& config, const Peer& peer, const PeerKey* key, const RouteSocket& routes, Time now)
    : config_{&config}
    , peer_{&peer}
    , key_{key}
    , deadline_{now + patience}
{
  connect(routes);
}

pollfd WarmDial::awaited() const
{
  return {.fd = socket_.number(),
          .events = static_cast<short>(stage_ == Stage::connecting ? POLLOUT : POLLIN),
          .revents = 0};
}

void WarmDial::advance()
{
  switch (stage_) {
  case Stage::connecting:
    if (const int error = socket_.take_error(); error != 0) {
      fail_by(error);
    } else {
      greet();
    }
    break;
  case Stage::greeted:
    read_welcome();
    break;
  case Stage::ready:
  case Stage::failed:
    break;
  }
}

void WarmDial::connect(const RouteSocket& routes)
{
  link_ = find_link(config_->links, routes.outgoing_interface(peer_->address, 0));
  if (link_ == nullptr) {
    fail(PeerProblem::no_route);
    return;
  }
  const SocketAddress address{peer_->address};
  socket_ = TCPSocket{check("socket", ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  apply_profile(socket_, profile_of(*config_, link_));
  if (config_->max_segment_size != 0) {
    socket_.set_option(IPPROTO_TCP, TCP_MAXSEG, config_->max_segment_size, "TCP_MAXSEG");
  }
  if (::connect(socket_.number(), address.get(), address.length()) == -1 && errno != EINPROGRESS) {
    fail_by(errno);
  }
}

void WarmDial::greet()
{
  open_window(socket_, *link_); // the greeting announces it to the far side
  greeting_ = {.keyed = key_ != nullptr, .nonce = make_nonce()};
  const auto record = greeting_.encode();
  // A few bytes on a new connection: the kernel takes all or nothing.
  if (::send(socket_.number(), record.data(), record.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(record.size())) {
    fail_by(errno);
    return;
  }
  stage_ = Stage::greeted;
}

void WarmDial::read_welcome()
{
  const auto bytes = ::recv(socket_.number(), welcome_.data() + received_, welcome_.size() - received_, 0);
  if (bytes == -1) {
    if (errno != EAGAIN && errno != EINTR) {
      fail_by(errno);
    }
    return;
  }
  if (bytes == 0) {
    fail(PeerProblem::closed);
    return;
  }
  received_ += static_cast<std::size_t>(bytes);
  if (received_ < welcome_.size()) {
    return;
  }
  const auto record = Welcome::parse(welcome_);
  const auto answer = record ? answer_welcome(greeting_, *record, key_)
                             : NearAnswer{.proof = std::nullopt, .problem = PeerProblem::no_pepsal};
  if (!answer.proof) {
    fail(answer.problem);
    return;
  }
  if (::send(socket_.number(), answer.proof->data(), answer.proof->size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(answer.proof->size())) {
    fail_by(errno);
    return;
  }
  watch_idle(socket_, Watch::seldom);
  stage_ = Stage::ready;
}

void WarmDial::fail(PeerProblem problem)
{
  stage_ = Stage::failed;
  problem_ = problem;
  socket_.close();
}

void WarmDial::fail_by(int error)
{
  switch (error) {
  case ECONNREFUSED:
    fail(PeerProblem::refused);
    break;
  case ETIMEDOUT:
    fail(PeerProblem::timed_out);
    break;
  case ECONNRESET:
  case EPIPE:
    fail(PeerProblem::closed);
    break;
  case ENOBUFS:
  case ENOMEM:
    fail(PeerProblem::system);
    break;
  default:
    fail(PeerProblem::unreachable);
    break;
  }
}

} // namespace pepsal
