// A peer's keeper: the process that makes warm connections in advance and hands them to proxies. Forked and watched by
// the manager. A peer that cannot be reached is a state, which is logged once; only what this box lacks is an error.

#include "peer/keeper.hh"

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include <csignal>
#include <fmt/core.h>
#include <poll.h>

#include "confine/capabilities.hh"
#include "peer/pool_policy.hh"
#include "peer/warm_dial.hh"
#include "peer/warm_socket.hh"
#include "tcp/route.hh"
#include "util/log.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;

class Keeper
{
public:
  Keeper(KeeperContext context, RouteSocket routes)
      : context_{context}
      , routes_{std::move(routes)}
      , policy_{context.config.peers.warm_connections}
  {}

  int run()
  {
    adopt();
    publish();
    if (policy_.target() == 0) {
      go_down(PeerProblem::not_wanted);
    }
    while (!told_to_end()) {
      drop_surplus();
      dial_missing();
      watch_one();
      publish();
      wait_for_events();
    }
    return EXIT_SUCCESS;
  }

private:
  // --- ready connections

  // Takes over connections left by an earlier keeper.
  void adopt()
  {
    for (auto& ticket : context_.queue.take_back()) {
      if (is_idle_and_alive(ticket.socket)) {
        add(std::move(ticket.socket));
      }
    }
    if (!ready_.empty()) {
      come_up();
    }
  }

  void add(TCPSocket socket)
  {
    if (context_.queue.give(socket, next_serial_)) { // otherwise there are enough
      ready_.emplace(next_serial_, std::move(socket));
    }
    ++next_serial_;
  }

  // When the connections `gone` have ended or are no longer wanted, puts the others in the queue back into it. One that
  // was taken meanwhile is no longer there, and no longer this process's.
  void rebuild_queue(const std::vector<std::uint64_t>& gone)
  {
    std::map<std::uint64_t, TCPSocket> kept;
    for (auto& ticket : context_.queue.take_back()) {
      const auto place = ready_.find(ticket.serial);
      if (place != ready_.end() && std::find(gone.begin(), gone.end(), ticket.serial) == gone.end() &&
          context_.queue.give(place->second, ticket.serial)) {
        kept.emplace(ticket.serial, std::move(place->second));
      }
    }
    ready_ = std::move(kept);
  }

  void note_notices()
  {
    while (const auto notice = context_.queue.next_notice()) {
      if (notice->lost) {
        give_all_up(notice->serial);
      } else if (ready_.erase(notice->serial) != 0) {
        policy_.taken(ready(), Clock::now());
        if (ready_.empty() && exhausted_line_.allows()) {
          log::info("peer {}: no warm connections left; {} will be kept ready, and until then connections are dialled",
                    name(), policy_.target());
        }
      }
    }
  }

  // A peer that has forgotten one connection has most likely forgotten all earlier ones. If many are lost together,
  // only the first says something new.
  void give_all_up(std::uint64_t lost)
  {
    if (lost >= oldest_trusted_) {
      oldest_trusted_ = next_serial_;
      context_.queue.take_back();
      ready_.clear();
    }
  }

  void drop_surplus()
  {
    const auto surplus = policy_.surplus(ready(), Clock::now());
    if (surplus == 0) {
      return;
    }
    std::vector<std::uint64_t> gone;
    for (const auto& [serial, socket] : ready_) {
      if (gone.size() < surplus) {
        gone.push_back(serial);
      }
    }
    rebuild_queue(gone);
  }

  // One connection is probed often; if it does not answer, the peer is gone, and the other connections with it.
  void watch_one()
  {
    if (ready_.empty() || ready_.contains(watched_)) {
      return;
    }
    auto& [serial, socket] = *ready_.rbegin(); // the last in the queue, and so the last to be taken
    watch_idle(socket, Watch::often);
    watched_ = serial;
  }

  void note_ended(const std::vector<std::uint64_t>& ended)
  {
    if (ended.empty()) {
      return;
    }
    bool silent = false;
    for (const auto serial : ended) {
      const int error = ready_.at(serial).take_error();
      silent |= error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
    }
    if (!silent) {
      rebuild_queue(ended);
      return;
    }
    context_.queue.take_back();
    ready_.clear();
    go_down(PeerProblem::timed_out);
  }

  // --- connections being made

  void dial_missing()
  {
    const auto now = Clock::now();
    if (!retry_.may_try(now)) {
      return;
    }
    const auto missing = policy_.missing(ready(), static_cast<std::uint32_t>(dials_.size()), up_);
    try {
      for (std::uint32_t i = 0; i < missing && retry_.may_try(now); ++i) {
        settle(dials_.emplace_back(context_.config, context_.peer, context_.key, routes_, now));
      }
    } catch (const SystemError& error) {
      log::warning("peer {}: {}", name(), error.what());
      fail(PeerProblem::system);
    }
    forget_settled();
  }

  void settle(WarmDial& dial)
  {
    switch (dial.stage()) {
    case WarmDial::Stage::connecting:
    case WarmDial::Stage::greeted:
      break;
    case WarmDial::Stage::ready:
      context_.table.count(Counter::warm_connections_made);
      add(dial.take_socket());
      retry_.succeeded();
      come_up();
      break;
    case WarmDial::Stage::failed:
      fail(dial.problem());
      break;
    }
  }

  void forget_settled()
  {
    std::erase_if(dials_, [](const WarmDial& dial) {
      return dial.stage() == WarmDial::Stage::ready || dial.stage() == WarmDial::Stage::failed;
    });
  }

  void fail(PeerProblem problem)
  {
    if (retry_.may_try(Clock::now())) { // of many that fail together, only the first counts
      retry_.failed(Clock::now());
    }
    if (ready_.empty()) {
      go_down(problem);
    }
  }

  // --- status

  std::string name() const { return context_.peer.address.address_string(); }
  std::uint32_t ready() const { return static_cast<std::uint32_t>(ready_.size()); }

  void come_up()
  {
    if (!up_) {
      up_ = true;
      change(PeerProblem::none);
      log::info("peer {} is up", name());
    }
  }

  void go_down(PeerProblem problem)
  {
    if (up_ || context_.status.problem != problem) {
      up_ = false;
      change(problem);
      log::warning("peer {} is down: {}; connections are dialled without it", name(), describe(problem));
    }
  }

  // A different reason for being down does not restart the time of being down.
  void change(PeerProblem problem)
  {
    context_.status.problem = problem;
    if (context_.status.up != up_) {
      context_.status.up = up_;
      context_.status.since_ns = boot_time_now().count();
    }
  }

  void publish() const
  {
    context_.status.ready = ready();
    context_.status.target = policy_.target();
  }

  // --- events

  bool told_to_end()
  {
    while (const int signal = signals_.take()) {
      if (signal == SIGTERM) {
        return true;
      }
    }
    return false;
  }

  int milliseconds_to_wait() const
  {
    const auto now = Clock::now();
    auto until = now + std::chrono::seconds{10}; // the policy has no events of its own
    for (const auto& dial : dials_) {
      until = std::min(until, dial.deadline());
    }
    if (policy_.missing(ready(), static_cast<std::uint32_t>(dials_.size()), up_) > 0) {
      until = std::min(until, retry_.next());
    }
    return static_cast<int>(
        std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(until - now).count(), 0));
  }

  void wait_for_events()
  {
    std::vector<pollfd> watched{{.fd = signals_.number(), .events = POLLIN, .revents = 0},
                                {.fd = context_.queue.giving_end(), .events = POLLIN, .revents = 0}};
    std::vector<std::uint64_t> serials;
    for (const auto& [serial, socket] : ready_) {
      watched.push_back({.fd = socket.number(), .events = POLLIN | POLLRDHUP, .revents = 0});
      serials.push_back(serial);
    }
    const auto first_dial = watched.size();
    for (const auto& dial : dials_) {
      watched.push_back(dial.awaited());
    }
    if (::poll(watched.data(), watched.size(), milliseconds_to_wait()) == -1 && errno != EINTR) {
      throw SystemError{errno, "poll"};
    }
    advance_dials({watched.begin() + static_cast<std::ptrdiff_t>(first_dial), watched.end()});
    note_notices();
    std::vector<std::uint64_t> ended;
    for (std::size_t i = 0; i < serials.size(); ++i) {
      // A connection that a proxy has taken causes events too; it is no longer in `ready_`, or soon will not be.
      if (watched[i + 2].revents != 0 && ready_.contains(serials[i])) {
        ended.push_back(serials[i]);
      }
    }
    note_ended(ended);
  }

  void advance_dials(const std::vector<pollfd>& watched)
  {
    const auto now = Clock::now();
    for (std::size_t i = 0; i < watched.size(); ++i) {
      if (watched[i].revents != 0) {
        dials_[i].advance();
      } else if (now >= dials_[i].deadline()) {
        dials_[i].time_out();
      }
      settle(dials_[i]);
    }
    forget_settled();
  }

  KeeperContext context_;
  RouteSocket routes_;
  SignalDescriptor signals_{SIGTERM};
  PoolPolicy policy_;
  RetryPolicy retry_;
  std::map<std::uint64_t, TCPSocket> ready_; // by serial; each also waits in the queue
  std::vector<WarmDial> dials_;
  std::uint64_t next_serial_{1};
  std::uint64_t oldest_trusted_{}; // connections made before this one are given up
  std::uint64_t watched_{};
  bool up_{};
  log::RateLimit exhausted_line_{std::chrono::seconds{60}};
};

} // namespace

int run_keeper(KeeperContext context)
{
  die_with_parent(context.manager, SIGKILL);
  unblock_signals();
  set_title(fmt::format("pepsal: keeper of peer {}", context.peer.address.address_string()));
  Keeper keeper{context, open_without_capabilities<RouteSocket>()};
  context.confinement.enter(Role::keeper);
  return keeper.run();
}

} // namespace pepsal
