// The connection manager. It forks and reaps, and touches no packet and no byte of a connection. The start fails with
// one line if the name, the port, the pid file or a queue is taken or a privilege is missing. After that, a lack of
// processes only makes new connections bypass.

#include "manager/connection_manager.hh"

#include <algorithm>
#include <array>

#include <csignal>
#include <fmt/core.h>
#include <poll.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;
using State = Lifecycle::State;
using namespace std::chrono_literals;

constexpr auto tick = 100ms;            // interval for what has no event of its own: retiring, retrying
constexpr auto handshake_patience = 3s; // when draining, a SYN whose handshake takes longer is not waited for

} // namespace

int Manager::run()
{
  start();
  log_ready();
  start_.on_ready();
  answer_who_restarted();
  service_.ready(status());
  if (!confinement_.missing().empty()) {
    log::warning("processes are confined without {}", confinement_.missing());
  }
  while (lifecycle_.state() != State::cutting) {
    wait_for_events();
    reap();
    collect_if_due();
    advance();
    tell_watchdog();
  }
  cut();
  return EXIT_SUCCESS;
}

std::string Manager::status() const
{
  return fmt::format("{}: {} connections of up to {}", lifecycle_.is_ending() ? "draining" : "serving", proxies_.busy(),
                     limits_.connections);
}

void Manager::tell_watchdog()
{
  if (const auto now = Clock::now(); service_.is_due(now)) {
    service_.alive(now, status());
  }
}

void Manager::advance()
{
  const auto now = Clock::now();
  const bool was_ending = lifecycle_.is_ending();
  lifecycle_.advance(now, collector_.pending(), children_.count(Children::Role::proxy));
  if (lifecycle_.is_ending() && !was_ending) {
    begin_to_drain();
  }
  switch (lifecycle_.state()) {
  case State::starting:
  case State::cutting:
    break;
  case State::serving:
  case State::leaving:
    diallers_.restart_lost(now);
    queuers_.watch(now);
    queuers_.restart_lost(now);
    keepers_.restart_lost(now);
    proxies_.retire_old();
    proxies_.keep_ready(now);
    break;
  case State::draining:
    proxies_.keep_ready(now);
    break;
  case State::closing:
    proxies_.stop_listening();
    proxies_.retire_idle();
    break;
  }
}

void Manager::end()
{
  const bool was_ending = lifecycle_.is_ending();
  lifecycle_.end(Clock::now(), config_.drain_timeout);
  if (was_ending) {
    log::info("told to end again: ending at once");
    collect();
  } else {
    begin_to_drain();
  }
}

void Manager::begin_to_drain()
{
  segment_.header().leaving = true;
  segment_.header().draining = true;
  log::info("draining: {} connections go on for up to {} s, new ones bypass", proxies_.busy(),
            config_.drain_timeout.count());
  service_.draining(status(), config_.drain_timeout);
  collect();
}

void Manager::cut()
{
  service_.stopping();
  if (const auto busy = proxies_.busy(); busy > 0) {
    log::warning("{} connections have not ended in time and are reset", busy);
  }
  children_.signal(Children::Role::proxy, SIGKILL, [](const auto&) { return true; });
  while (children_.count(Children::Role::proxy) > 0) {
    wait_for_events();
    reap();
  }
  log::info("ended: {} connections served, {} bytes up, {} down", table_.counter(Counter::connections_opened),
            table_.counter(Counter::bytes_up), table_.counter(Counter::bytes_down));
}

void Manager::reap()
{
  while (const auto ended = children_.reap()) {
    note_end(*ended);
  }
  if (children_.has_dead()) {
    collect();
  }
}

void Manager::note_end(const Children::Ended& ended)
{
  switch (ended.child.role) {
  case Children::Role::queuer:
    if (!lifecycle_.is_ending()) {
      queuers_.note_loss(ended.child.index, ended.manner());
    }
    break;
  case Children::Role::keeper:
    if (!lifecycle_.is_ending()) {
      keepers_.note_loss(ended.child.index, ended.manner());
    }
    break;
  case Children::Role::dialler:
    diallers_.note_loss(ended.crashed, ended.manner());
    break;
  case Children::Role::proxy:
    if (lifecycle_.state() != State::cutting && !collector_.is_killed(ended.child.owner)) {
      proxies_.note_end(ended, Clock::now());
    }
    break;
  }
}

void Manager::collect_if_due()
{
  if (Clock::now() >= next_collection_) {
    collect();
  }
}

void Manager::restore_header()
{
  auto& header = segment_.header();
  segment_.restore_header();
  header.manager_pid = ::getpid();
  header.max_connections = config_.max_connections;
  header.max_per_client = per_client_limit(config_);
  header.leaving = lifecycle_.is_leaving();
  header.draining = lifecycle_.is_ending();
}

void Manager::collect()
{
  restore_header();
  proxies_.restore_listeners();
  if (log::follow_syslog()) {
    proxies_.replace_idle();
  }
  const bool ending = lifecycle_.is_ending();
  collector_.collect(ending ? std::chrono::seconds{handshake_patience} : config_.pending_lifetime,
                     lifecycle_.state() == State::cutting ? "drain-timeout" : "proxy-killed",
                     config_.log_connections != LogConnections::none);
  next_collection_ = Clock::now() + (ending ? std::chrono::milliseconds{tick} : config_.gc_interval);
}

void Manager::wait_for_events()
{
  const bool ticking = lifecycle_.is_leaving() || proxies_.is_restless() || children_.has_orphans() ||
                       diallers_.next_look() != Clock::time_point::max() ||
                       queuers_.next_look() != Clock::time_point::max() ||
                       keepers_.next_look() != Clock::time_point::max();
  const auto planned = std::min(
      {next_collection_, service_.next(), lifecycle_.is_ending() ? Clock::time_point::max() : queuers_.next_watch()});
  const auto wake_at = ticking ? std::min(planned, Clock::now() + tick) : planned;
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(wake_at - Clock::now()).count();
  const int control = control_ ? control_->number() : -1;
  std::array<pollfd, 4> watched{pollfd{.fd = signals_.number(), .events = POLLIN, .revents = 0},
                                pollfd{.fd = proxies_.wake_ups(), .events = POLLIN, .revents = 0},
                                pollfd{.fd = control, .events = POLLIN, .revents = 0},
                                pollfd{.fd = interfaces_.number(), .events = POLLIN, .revents = 0}};
  if (::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(timeout, 0))) == -1 &&
      errno != EINTR) {
    throw SystemError{errno, "poll"};
  }
  while (const int signal = signals_.take()) {
    handle(signal);
  }
  if (watched[3].revents != 0) {
    interfaces_.forget();
    proxies_.follow_interfaces();
  }
  if ((watched[2].revents & POLLIN) != 0) {
    control_->serve([this](ControlSocket::Request& request) { obey(request); });
  }
}

void Manager::handle(int signal)
{
  switch (signal) {
  case SIGTERM:
  case SIGINT:
    end();
    break;
  case SIGHUP:
    service_.reloading();
    reload();
    service_.ready(status());
    break;
  case SIGQUIT:
    give_way();
  case SIGUSR2:
    try {
      restart(-1);
    } catch (const std::runtime_error& error) {
      log::error("{}", error.what());
    }
    break;
  case SIGUSR1:
    log_counters();
    break;
  default: // SIGCHLD: reap() follows
    break;
  }
}

void Manager::reload()
{
  try {
    log::info("{}", apply_configuration());
  } catch (const std::runtime_error& error) {
    log::error("configuration not reloaded, the old one stays: {}", error.what());
  }
}

void Manager::log_counters() const
{
  for (const auto& counter : counter_rows) {
    log::info("counter {}={}", counter.name, table_.counter(counter.id));
  }
  log::info("counter entries={} proxies={}", table_.size(), children_.count(Children::Role::proxy));
}

int run_manager(ManagerStart start)
{
  ::signal(SIGPIPE, SIG_IGN); // raised by splice(2) into a closed socket; the error suffices
  const auto& config = start.config;
  const auto channels = config.connect == Connect::honest ? 2U * (config.last_queue - config.first_queue + 2U) : 0U;
  require_descriptors(1 + config.links.size() + channels);
  run_in_turn(); // a proxy finishes with a message before another process takes its turn
  return Manager{std::move(start)}.run();
}

} // namespace pepsal
