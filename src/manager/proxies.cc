// Forks proxies ahead of need. Called by the manager. Only a listener that cannot be opened ends the start; while no
// process can be started, new connections bypass, and it is retried.

#include "manager/proxies.hh"

#include <algorithm>
#include <utility>

#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "peer/peer_listener.hh"
#include "peer/pool_policy.hh"
#include "proxy/proxy.hh"
#include "util/system_error.hh"

namespace pepsal {

using namespace std::chrono_literals;

Proxies::Proxies(Children& children, ConnectionTable& table, const SharedSegment& segment, Keepers& keepers,
                 Diallers& diallers, const Config& config, Confinement& confinement)
    : manager_{::getpid()}
    , children_{children}
    , table_{table}
    , segment_{segment}
    , keepers_{keepers}
    , diallers_{diallers}
    , config_{config}
    , confinement_{confinement}
    , accepted_{check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))}
{}

void Proxies::listen(std::vector<Listener> kept)
{
  listeners_ = open_listeners(config_, kept);
  for (auto& listener : open_peer_listeners(config_, kept)) {
    listeners_.push_back(std::move(listener));
  }
  spares_.assign(listeners_.size(), SparePolicy{config_.spare_proxies});
  unaccepted_since_.assign(listeners_.size(), Time::max());
}

void Proxies::keep_ready(Time now)
{
  std::uint64_t ignored = 0;
  [[maybe_unused]] const auto bytes = ::read(accepted_.number(), &ignored, sizeof ignored);
  if (!is_listening() || now < retry_forks_at_) {
    return;
  }
  filling_ = false;
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    if (!listens(listeners_[i]) && !replace_closed(i)) {
      pause_forking(now + 1s);
      return;
    }
    const auto shown = children_.count_idle(static_cast<std::uint16_t>(i));
    const auto idle = is_neglected(i, now) ? 0 : shown;
    if (filled_once_ && back_off_.pause() <= BackOff::first) { // their dying is no demand for more
      spares_[i].observe(idle, now);
    }
    const auto missing = spares_[i].take_missing(idle, now);
    for (std::uint32_t forked = 0; forked < missing && may_start(i, idle + forked); ++forked) {
      if (!start(i)) {
        pause_forking(now + 1s);
        return;
      }
    }
    filling_ |= missing == 0 && may_start(i, idle) && !spares_[i].is_met(idle);
  }
  filled_once_ = true;
  segment_.header().overloaded = false;
}

// A compromised proxy can make busy proxies look idle by writing to their states. A connection that waits at a listener
// without being accepted gives that away.
bool Proxies::is_neglected(std::size_t listener, Time now)
{
  constexpr auto patience = 1s;
  if (listeners_[listener].for_peers) { // where connections wait for their turn
    return false;
  }
  pollfd connection{.fd = listeners_[listener].socket.number(), .events = POLLIN, .revents = 0};
  auto& since = unaccepted_since_[listener];
  if (::poll(&connection, 1, 0) != 1) {
    since = Time::max();
    return false;
  }
  since = std::min(since, now);
  if (now - since < patience) {
    return false;
  }
  since = now;
  return true;
}

void Proxies::pause_forking(Time until)
{
  segment_.header().overloaded = true;
  retry_forks_at_ = until;
}

// The limit applies to the proxies of all listeners together. But each listener always has an idle one, or connections
// intercepted there would never be accepted: the idle proxies may all be at another listener, and a SYN with a reused
// port may be intercepted although the table is full (see pepsal-iptables, LATE). The roster bounds their number.
bool Proxies::may_start(std::size_t listener, std::uint32_t idle_there) const
{
  if (listeners_[listener].for_peers) { // further warm connections wait in the backlog
    return children_.count(Children::Role::proxy) < config_.max_connections &&
           children_.count_waiting() + idle_there < most_waiting();
  }
  return children_.count(Children::Role::proxy) < config_.max_connections || idle_there == 0;
}

// The most far proxies that may wait for clients, of all peers together, however many those ask for.
std::uint32_t Proxies::most_waiting() const
{
  constexpr std::uint32_t most_of_a_peer = 2 * PoolPolicy::most;
  const auto peers = static_cast<std::uint32_t>(config_.peers.peers.size());
  return std::max(std::min(most_of_a_peer * peers, config_.max_connections / 2), 1U);
}

bool Proxies::start(std::size_t listener)
{
  try {
    children_.spawn(Children::Role::proxy, static_cast<std::uint16_t>(listener), descriptors_of_a_proxy(listener),
                    [&](Owner owner) { return run_child(owner, listener); });
    table_.count(Counter::proxies_forked);
    return true;
  } catch (const SystemError& error) {
    table_.count(Counter::forks_failed);
    if (fork_warning_.allows()) {
      log::warning("{}: new connections bypass the proxy, {} proxies continue", error.what(),
                   children_.count(Children::Role::proxy));
    }
    return false;
  }
}

std::vector<int> Proxies::descriptors_of_a_proxy(std::size_t listener) const
{
  std::vector<int> descriptors{listeners_[listener].socket.number(), accepted_.number(), confinement_.descriptor(),
                               diallers_.asking_end()};
  keepers_.add_taking_ends(descriptors);
  return descriptors;
}

// Runs in the proxy's process, which takes what it keeps and uses none of the manager's other objects.
int Proxies::run_child(Owner owner, std::size_t listener)
{
  return run_proxy({.config = config_,
                    .table = table_,
                    .self = owner,
                    .table_memory = segment_.descriptor_to_read(),
                    .manager = manager_,
                    .peer_key = keepers_.key(),
                    .confinement = confinement_,
                    .session_memory = *session_memory_,
                    .listener = std::move(listeners_[listener]),
                    .report = {segment_,
                               {.self = owner,
                                .highest = children_.highest(),
                                .listener = static_cast<std::uint16_t>(listener),
                                .few = spares_[listener].few()},
                               std::move(accepted_)},
                    .warm_queues = keepers_.take_taking_ends(),
                    .handover = diallers_.take_asking_end()});
}

void Proxies::note_end(const Children::Ended& ended, Time now)
{
  if (ended.orphan) {
    return;
  }
  if (!ended.crashed) {
    back_off_.served();
    return;
  }
  table_.count(Counter::proxies_lost);
  if (ended.had_connection()) {
    log::warning("proxy {} was lost ({})", ended.pid, ended.manner());
    return;
  }
  back_off_.died(now);
  if (death_warning_.allows()) {
    log::warning("proxy {} was lost before it had a connection ({}); the next ones start in {} ms", ended.pid,
                 ended.manner(), back_off_.pause().count());
  }
  if (!back_off_.may_fork(now)) {
    retry_forks_at_ = std::max(retry_forks_at_, now + back_off_.pause());
    segment_.header().overloaded = segment_.header().overloaded || back_off_.pause() > BackOff::first;
  }
}

void Proxies::follow(const Config& before)
{
  for (auto& listener : listeners_) {
    reconfigure(listener, before, config_);
  }
  spares_.assign(listeners_.size(), SparePolicy{config_.spare_proxies});
  replace_idle();
}

void Proxies::follow_interfaces()
{
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    if (!has_lost_interface(listeners_[i])) {
      continue;
    }
    const auto interface = listeners_[i].interface;
    if (const auto problem = open_again(i); problem.empty()) {
      log::info("interface {} is back: new connections there are served again", interface);
    } else { // it may be gone again
      log::warning("interface {} is back, but: {}", interface, problem);
    }
  }
}

bool Proxies::replace_closed(std::size_t listener)
{
  const auto problem = open_again(listener);
  if (!listener_warning_.allows()) {
    return problem.empty();
  }
  if (problem.empty()) {
    log::warning("a process has closed a listener for all: opened another one");
  } else {
    log::warning("a process has closed a listener for all, and there is no other: {}", problem);
  }
  return problem.empty();
}

void Proxies::restore_listeners()
{
  try {
    for (auto& listener : listeners_) {
      restore(listener, config_);
    }
  } catch (const std::runtime_error& error) {
    if (listener_warning_.allows()) {
      log::warning("listeners: {}", error.what());
    }
  }
}

// Returns what is wrong; empty if it is open.
std::string Proxies::open_again(std::size_t listener)
{
  try {
    if (listeners_[listener].for_peers) {
      listeners_[listener] = open_peer_listener(config_, listeners_[listener].interface);
    } else {
      bind_again(listeners_, listener, config_);
    }
    replace_idle();
    return {};
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

void Proxies::give_to(uid_t user)
{
  for (const auto& listener : listeners_) { // those of an earlier program may belong to it already
    [[maybe_unused]] const int given = ::fchown(listener.socket.number(), user, static_cast<gid_t>(-1));
  }
}

void Proxies::replace_idle()
{
  retire_idle();
  changed_at_ = boot_time_now();
  retiring_ = true;
}

void Proxies::retire_old()
{
  if (!retiring_) {
    return;
  }
  retiring_ = boot_time_now() < changed_at_ + 1s;
  children_.signal(Children::Role::proxy, SIGTERM,
                   [this](const auto& child) { return children_.started(child.owner) < changed_at_; });
}

void Proxies::retire_idle() const
{
  children_.signal(Children::Role::proxy, SIGTERM, [](const auto&) { return true; });
}

std::uint32_t Proxies::busy() const
{
  std::uint32_t idle = children_.count_waiting();
  for (std::size_t i = 0; i < spares_.size(); ++i) {
    idle += children_.count_idle(static_cast<std::uint16_t>(i));
  }
  return children_.count(Children::Role::proxy) - std::min(idle, children_.count(Children::Role::proxy));
}

bool Proxies::is_restless() const
{
  const bool waiting = std::ranges::any_of(unaccepted_since_, [](const auto& since) { return since != Time::max(); });
  return waiting || retiring_ || filling_ || segment_.header().overloaded || Time::clock::now() < retry_forks_at_;
}

} // namespace pepsal
