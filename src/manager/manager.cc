// The connection manager. It forks and reaps, and touches no packet and no byte of a connection. The start fails with
// one line when the name, the port, the pid file or a queue is taken or a privilege is missing. Afterwards want of
// processes only makes new connections bypass.

#include "manager/manager.hh"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include <csignal>
#include <fmt/format.h>
#include <poll.h>

#include "manager/children.hh"
#include "manager/collector.hh"
#include "manager/keepers.hh"
#include "manager/lifecycle.hh"
#include "manager/limits.hh"
#include "manager/pid_file.hh"
#include "manager/privileges.hh"
#include "manager/proxies.hh"
#include "manager/queuers.hh"
#include "manager/reload.hh"
#include "peer/peer_listener.hh"
#include "shared/connection_table.hh"
#include "util/log.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;
using State = Lifecycle::State;
using namespace std::chrono_literals;

constexpr auto tick = 100ms;            // between looks at what has no event of its own: retiring, retrying
constexpr auto handshake_patience = 3s; // a SYN this old without its connection is not waited for when draining

class Manager
{
public:
  Manager(Config config, std::function<Config()> reload)
      : config_{std::move(config)}
      , read_configuration_{std::move(reload)}
      , limits_{find_limits(config_.max_connections, !config_.user.empty())}
      , segment_{SharedSegment::create(
            config_.instance,
            {.max_connections = limits_.connections, .processes = limits_.connections + roster_reserve},
            owner_before(config_.user))}
      , table_{segment_}
      , children_{segment_}
  {
    config_.max_connections = limits_.connections;
    segment_.header().max_per_client = per_client_limit(config_);
  }

  ~Manager() { segment_.remove_name(); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  int run(const std::function<void()>& on_ready)
  {
    start();
    log_ready();
    on_ready();
    while (lifecycle_.state() != State::cutting) {
      wait_for_events();
      reap();
      collect_if_due();
      advance();
    }
    cut();
    return EXIT_SUCCESS;
  }

private:
  // Whose the memory of a daemon before this one may be.
  static std::optional<uid_t> owner_before(const std::string& user)
  {
    return user.empty() ? std::nullopt : std::optional{find_user(user).user};
  }

  // All that can fail, while the one who started the daemon is still there to read why.
  void start()
  {
    require_net_admin();
    check_peers_are_reached(config_);
    keepers_.load_key();
    proxies_.listen();
    pid_file_.emplace(config_.pidfile);
    if (!config_.user.empty()) {
      const auto user = find_user(config_.user);
      segment_.give_to(user.user, user.group);
      become_user(config_.user);
    }
    queuers_.start_all();
    keepers_.start_all();
    proxies_.keep_ready(Clock::now());
    set_title("pepsal: connection manager");
    lifecycle_.start_serving();
  }

  void log_ready() const
  {
    const auto queues = config_.first_queue == config_.last_queue
                            ? fmt::format("queue {}", config_.first_queue)
                            : fmt::format("queues {} to {}", config_.first_queue, config_.last_queue);
    log::info("ready: instance {}, port {}, {}, up to {} connections ({} descriptors in each process)",
              config_.instance, config_.port, queues, limits_.connections, limits_.descriptors);
    if (!limits_.scarcest.empty()) {
      log::warning("{} allows {} connections at once; more will bypass the proxy", limits_.scarcest,
                   limits_.connections);
    }
  }

  // --- what each state does

  void advance()
  {
    const auto now = Clock::now();
    lifecycle_.advance(now, collector_.pending(), children_.count(Children::Role::proxy));
    switch (lifecycle_.state()) {
    case State::starting:
    case State::cutting:
      break;
    case State::serving:
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

  void end()
  {
    if (lifecycle_.is_ending()) {
      log::info("told to end again: ending at once");
    } else {
      segment_.header().draining = true;
      log::info("draining: {} connections go on for up to {} s, new ones bypass", proxies_.busy(),
                config_.drain_timeout.count());
    }
    lifecycle_.end(Clock::now(), config_.drain_timeout);
    collect();
  }

  void cut()
  {
    if (const auto busy = proxies_.busy(); busy > 0) {
      log::warning("{} connections have not ended in time and are reset", busy);
    }
    children_.signal(Children::Role::proxy, SIGKILL, [](const auto&) { return true; });
    while (children_.count(Children::Role::proxy) > 0) {
      wait_for_events();
      reap();
    }
    log_counters();
    log::info("ended");
  }

  // --- children

  void reap()
  {
    while (const auto ended = children_.reap()) {
      note_end(*ended);
    }
    if (children_.has_dead()) {
      collect();
    }
  }

  void note_end(const Children::Ended& ended)
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
    case Children::Role::proxy:
      if (lifecycle_.state() != State::cutting) {
        proxies_.note_end(ended, Clock::now());
      }
      break;
    }
  }

  void collect_if_due()
  {
    if (Clock::now() >= next_collection_) {
      collect();
    }
  }

  void collect()
  {
    const bool ending = lifecycle_.is_ending();
    collector_.collect(ending ? std::chrono::seconds{handshake_patience} : config_.pending_lifetime,
                       lifecycle_.state() == State::cutting ? "drain-timeout" : "proxy-killed");
    next_collection_ = Clock::now() + (ending ? std::chrono::milliseconds{tick} : config_.gc_interval);
  }

  // --- events

  void wait_for_events()
  {
    const bool ticking = lifecycle_.is_ending() || proxies_.is_restless() ||
                         queuers_.next_look() != Clock::time_point::max() ||
                         keepers_.next_look() != Clock::time_point::max();
    const auto wake_at = ticking ? std::min(next_collection_, Clock::now() + tick) : next_collection_;
    const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(wake_at - Clock::now()).count();
    std::array<pollfd, 2> watched{pollfd{.fd = signals_.number(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = proxies_.wake_ups(), .events = POLLIN, .revents = 0}};
    if (::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(timeout, 0))) == -1 &&
        errno != EINTR) {
      throw SystemError{errno, "poll"};
    }
    while (const int signal = signals_.take()) {
      handle(signal);
    }
  }

  void handle(int signal)
  {
    switch (signal) {
    case SIGTERM:
    case SIGINT:
      end();
      break;
    case SIGHUP:
      reload();
      break;
    case SIGUSR1:
      log_counters();
      break;
    default: // SIGCHLD: reap() follows
      break;
    }
  }

  void reload()
  {
    try {
      auto plan = plan_reload(config_, read_configuration_(), limits_.connections);
      for (const auto& warning : plan.warnings) {
        log::warning("{}", warning);
      }
      const auto before = std::exchange(config_, std::move(plan.config));
      segment_.header().max_connections = config_.max_connections;
      segment_.header().max_per_client = per_client_limit(config_);
      log::configure(config_.verbose);
      proxies_.follow(before);
      log::info("configuration read again: new connections follow it");
    } catch (const std::runtime_error& error) {
      log::error("configuration not read, the old one stays: {}", error.what());
    }
  }

  void log_counters() const
  {
    for (const auto& counter : counter_rows) {
      log::info("counter {}={}", counter.name, table_.counter(counter.id));
    }
    log::info("counter entries={} proxies={}", table_.size(), children_.count(Children::Role::proxy));
  }

  static constexpr std::uint32_t roster_reserve = 256; // numbers for queuers and for the dead not collected yet

  Config config_;
  std::function<Config()> read_configuration_;
  SignalDescriptor signals_{SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
  Limits limits_;
  SharedSegment segment_;
  ConnectionTable table_;
  log::LossCount losses_{table_.lost_log_lines()};
  Children children_;
  Collector collector_{children_, table_};
  std::optional<PidFile> pid_file_;
  Keepers keepers_{children_, table_, segment_.header(), config_};
  Proxies proxies_{children_, table_, segment_.header(), keepers_, config_, [this] {
                     signals_.close();
                     pid_file_->abandon();
                   }};
  Queuers queuers_{children_, table_, config_};
  Lifecycle lifecycle_;
  Clock::time_point next_collection_{};
};

} // namespace

int run_manager(Config config, const std::function<Config()>& reload, const std::function<void()>& on_ready)
{
  ::signal(SIGPIPE, SIG_IGN); // splice(2) into a closed socket raises it; the error is enough
  require_descriptors(1 + config.links.size());
  run_in_turn(); // a proxy is done with a message before the next one could have interrupted it
  return Manager{std::move(config), reload}.run(on_ready);
}

} // namespace pepsal
