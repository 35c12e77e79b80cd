// The connection manager. It forks and reaps, and touches no packet and no byte of a connection. The
// start fails with one line when the name, the port, the pid file or a queue is taken or a privilege is
// missing. Afterwards want of processes only makes new connections bypass.

#include "manager/manager.hh"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "manager/children.hh"
#include "manager/keepers.hh"
#include "manager/limits.hh"
#include "manager/pid_file.hh"
#include "manager/privileges.hh"
#include "peer/peer_listener.hh"
#include "peer/pool_policy.hh"
#include "proxy/proxy.hh"
#include "shared/connection_table.hh"
#include "util/log.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto tick = 100ms;                  // between looks at what has no event of its own: retiring, retrying
constexpr auto handshake_patience = 3s;       // a SYN this old without its connection is not waited for when draining
constexpr std::uint32_t roster_reserve = 256; // numbers for queuers and for the dead that are not collected yet
constexpr std::uint32_t largest_burst = 128;  // idle proxies that a burst may make the manager keep

// How many idle proxies to keep for one listener: --spare-proxies, doubled while bursts use all of them
// up, and back by halves in quiet.
class SparePolicy
{
public:
  explicit SparePolicy(std::uint32_t least)
      : least_{least}
      , target_{least}
  {}

  // Whether it is time to fork. Waiting until half of them are taken lets one wake-up of the manager do
  // for many connections.
  bool is_low(std::uint32_t idle) const { return idle <= target_ / 2; }

  bool is_met(std::uint32_t idle) const { return idle >= target_; }

  // How many to fork now, so that the target is met: when few are left, and in quiet times anyhow.
  std::uint32_t take_missing(std::uint32_t idle)
  {
    const auto now = Clock::now();
    if (is_met(idle) || (!is_low(idle) && now < fill_at_)) {
      return 0;
    }
    fill_at_ = now + tick;
    return target_ - idle;
  }

  void observe(std::uint32_t idle)
  {
    const auto now = Clock::now();
    if (idle == 0) {
      target_ = std::min(target_ * 2, std::max(least_, largest_burst));
      shrink_at_ = now + 10s;
    } else if (now >= shrink_at_) {
      target_ = std::max(least_, target_ / 2);
      shrink_at_ = now + 10s;
    }
  }

private:
  std::uint32_t least_;
  std::uint32_t target_;
  Clock::time_point shrink_at_{};
  Clock::time_point fill_at_{};
};

class Manager
{
public:
  Manager(Config config, std::function<Config()> reload)
      : config_{std::move(config)}
      , reload_{std::move(reload)}
      , limits_{find_limits(config_.max_connections)}
      , segment_{SharedSegment::create(config_.instance, {.max_connections = limits_.connections,
                                                          .processes = limits_.connections + roster_reserve})}
      , table_{segment_}
      , children_{segment_}
  {
    config_.max_connections = limits_.connections;
  }

  ~Manager()
  {
    end_queuers();
    segment_.remove_name();
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  int run(const std::function<void()>& on_ready)
  {
    require_net_admin();
    check_peers_are_reached(config_);
    keepers_.load_key();
    listeners_ = open_listeners(config_);
    for (auto& listener : open_peer_listeners(config_)) {
      listeners_.push_back(std::move(listener));
    }
    pid_file_.emplace(config_.pidfile);
    if (!config_.user.empty()) {
      const auto user = find_user(config_.user);
      segment_.give_to(user.user, user.group);
      pid_file_->give_to(user.user, user.group);
      become_user(config_.user);
    }
    spares_.assign(listeners_.size(), SparePolicy{config_.spare_proxies});
    for (unsigned queue = config_.first_queue; queue <= config_.last_queue; ++queue) {
      start_queuer(static_cast<std::uint16_t>(queue));
    }
    keepers_.start_all();
    keep_spares();
    set_title("pepsal: connection manager");
    ready_ = true;
    log_ready();
    on_ready();
    while (!drained()) {
      wait_for_events();
      reap();
      collect_if_due();
      if (draining_) {
        retire_idle();
      } else {
        restart_queuers();
        keepers_.restart_lost(Clock::now());
      }
      keep_spares();
    }
    finish_draining();
    return EXIT_SUCCESS;
  }

private:
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

  // --- children

  void start_queuer(std::uint16_t number)
  {
    std::array<int, 2> ends{};
    check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
    const FileDescriptor read_end{ends[0]};
    FileDescriptor write_end{ends[1]};
    children_.spawn(Children::Role::queuer, number, [&](Owner owner) -> int {
      try {
        execute_queuer(owner, number, write_end.number());
      } catch (const SystemError& error) {
        [[maybe_unused]] const auto written = ::write(write_end.number(), error.what(), std::strlen(error.what()));
      }
      return EXIT_FAILURE;
    });
    write_end.close();
    std::array<char, 512> answer{};
    const auto bytes = ::read(read_end.number(), answer.data(), answer.size());
    const std::string_view text{answer.data(), static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))};
    if (text != "ready") {
      throw std::runtime_error{text.empty() ? fmt::format("queuer of queue {} ended at its start", number)
                                            : std::string{text}};
    }
  }

  // In the queuer's process: becomes pepsal-queuer, which stands beside this program.
  void execute_queuer(Owner owner, std::uint16_t number, int ready_fd) const
  {
    die_with_parent(self_, SIGKILL);
    unblock_signals();
    check("fcntl F_SETFD", ::fcntl(ready_fd, F_SETFD, 0)); // the one descriptor that it inherits
    const std::string program = std::filesystem::read_symlink("/proc/self/exe").replace_filename("pepsal-queuer");
    std::vector<std::string> words{program,
                                   config_.instance,
                                   std::to_string(number),
                                   std::to_string(owner),
                                   std::to_string(config_.marks.shift),
                                   std::to_string(ready_fd),
                                   config_.daemon ? "syslog" : "stderr"};
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (auto& word : words) {
      arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    ::execv(program.c_str(), arguments.data());
    throw SystemError{errno, fmt::format("exec {}", program)};
  }

  // A queuer that was lost is started again at once; one that cannot start is tried every second.
  void restart_queuers()
  {
    if (lost_queues_.empty() || Clock::now() < retry_queuers_at_) {
      return;
    }
    retry_queuers_at_ = Clock::now() + 1s;
    std::erase_if(lost_queues_, [this](std::uint16_t number) {
      try {
        start_queuer(number);
        table_.count(Counter::queuers_restarted);
        log::warning("queuer of queue {} started again", number);
        return true;
      } catch (const std::runtime_error& error) {
        log::error("{}: connections pass by without the proxy; trying again", error.what());
        return false;
      }
    });
  }

  void keep_spares()
  {
    if (listeners_.empty() || Clock::now() < retry_forks_at_) {
      return;
    }
    filling_ = false;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      const auto idle = children_.count_idle(static_cast<std::uint16_t>(i));
      if (ready_) {
        spares_[i].observe(idle);
      }
      const auto missing = spares_[i].take_missing(idle);
      for (std::uint32_t forked = 0; forked < missing && may_start_proxy(i, idle + forked); ++forked) {
        if (!start_proxy(i)) {
          return;
        }
      }
      filling_ |= missing == 0 && may_start_proxy(i, idle) && !spares_[i].is_met(idle);
    }
    segment_.header().overloaded = false;
  }

  // The limit is on all listeners' proxies together; what is idle at one of them must not leave another
  // without any, because what was intercepted there would wait for ever.
  bool may_start_proxy(std::size_t listener, std::uint32_t idle_there) const
  {
    if (listeners_[listener].for_peers) { // further warm connections wait to be accepted
      return children_.count(Children::Role::proxy) < config_.max_connections &&
             children_.count_waiting() + idle_there < most_waiting();
    }
    return children_.count(Children::Role::proxy) < config_.max_connections ||
           (idle_there == 0 && listeners_.size() > 1);
  }

  // So many far proxies may wait for clients of all peers together, whatever these ask for.
  std::uint32_t most_waiting() const
  {
    constexpr std::uint32_t most_of_a_peer = 2 * PoolPolicy::most;
    const auto peers = static_cast<std::uint32_t>(config_.peers.peers.size());
    return std::max(std::min(most_of_a_peer * peers, config_.max_connections / 2), 1U);
  }

  // Whether there was a process to be had. If not, new connections bypass until there is.
  bool start_proxy(std::size_t listener)
  {
    try {
      children_.spawn(Children::Role::proxy, static_cast<std::uint16_t>(listener),
                      [&](Owner owner) { return proxy_body(owner, listener); });
      table_.count(Counter::proxies_forked);
      return true;
    } catch (const SystemError& error) {
      table_.count(Counter::forks_failed);
      segment_.header().overloaded = true;
      retry_forks_at_ = Clock::now() + 1s;
      if (fork_warning_.allows()) {
        log::warning("{}: new connections bypass the proxy, {} proxies go on", error.what(),
                     children_.count(Children::Role::proxy));
      }
      return false;
    }
  }

  int proxy_body(Owner owner, std::size_t listener)
  {
    signals_.close();
    pid_file_->abandon();
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if (i != listener) {
        listeners_[i].socket.close();
      }
    }
    return run_proxy({.config = config_,
                      .table = table_,
                      .listener = listeners_[listener],
                      .self = owner,
                      .manager = self_,
                      .set_state =
                          [this, owner, listener](ProcessState state) {
                            children_.set_state(owner, state);
                            if (state == ProcessState::busy) {
                              wake_manager_if_needed(listener);
                            }
                          },
                      .peer_key = keepers_.key(),
                      .warm_queues = keepers_.queues()});
  }

  // In a proxy's process, which knows as many proxies as there were when it was forked: seeing too few
  // idle ones wakes the manager too often, never too late.
  void wake_manager_if_needed(std::size_t listener) const
  {
    if (!spares_[listener].is_low(children_.count_idle(static_cast<std::uint16_t>(listener)))) {
      return;
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(accepted_.number(), &one, sizeof one);
  }

  void reap()
  {
    while (const auto ended = children_.reap()) {
      if (ended->child.role == Children::Role::queuer) {
        if (!draining_) {
          log::warning("queuer of queue {} was lost ({})", ended->child.index, ended->manner());
          lost_queues_.push_back(ended->child.index);
        }
      } else if (ended->child.role == Children::Role::keeper) {
        if (!draining_) {
          keepers_.note_loss(ended->child.index, ended->manner());
        }
      } else if (ended->crashed && !cutting_) {
        table_.count(Counter::proxies_lost);
        log::warning("proxy {} was lost ({})", ended->pid, ended->manner());
      }
    }
    if (children_.has_dead()) {
      collect();
    }
  }

  // --- the table

  void collect_if_due()
  {
    if (Clock::now() >= next_collection_) {
      collect();
    }
  }

  void collect()
  {
    const auto lifetime = draining_ ? std::chrono::seconds{handshake_patience} : config_.pending_lifetime;
    const auto collected = table_.collect(
        boot_time_now() - lifetime, [this](Owner owner) { return children_.is_alive(owner); },
        [this](const ConnectionTable::Entry& entry) { log_lost(entry); });
    children_.forget_dead();
    table_.count(Counter::pending_expired, collected.expired);
    table_.count(Counter::slots_recovered, collected.recovered);
    pending_ = collected.pending;
    next_collection_ = Clock::now() + (draining_ ? std::chrono::milliseconds{tick} : config_.gc_interval);
  }

  // The closing line of a connection whose proxy could not write it.
  void log_lost(const ConnectionTable::Entry& entry)
  {
    table_.count(Counter::connections_reset);
    table_.count(Counter::bytes_up, entry.bytes_up);
    table_.count(Counter::bytes_down, entry.bytes_down);
    const std::chrono::duration<double> duration = boot_time_now() - entry.since;
    log::info("closed client={} server={} up={} down={} duration={:.3f} reason={}", entry.connection.client,
              entry.connection.server, entry.bytes_up, entry.bytes_down, duration.count(),
              cutting_ ? "drain-timeout" : "proxy-killed");
  }

  void log_counters() const
  {
    for (const auto& counter : counter_rows) {
      log::info("counter {}={}", counter.name, table_.counter(counter.id));
    }
    log::info("counter entries={} proxies={}", table_.size(), children_.count(Children::Role::proxy));
  }

  // --- events

  void wait_for_events()
  {
    const bool ticking = draining_ || retiring_ || filling_ || !lost_queues_.empty() ||
                         keepers_.next_look() != Clock::time_point::max() || segment_.header().overloaded;
    const auto wake_at = ticking ? std::min(next_collection_, Clock::now() + tick) : next_collection_;
    const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(wake_at - Clock::now()).count();
    std::array<pollfd, 2> watched{pollfd{.fd = signals_.number(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = accepted_.number(), .events = POLLIN, .revents = 0}};
    if (::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(timeout, 0))) == -1 &&
        errno != EINTR) {
      throw SystemError{errno, "poll"};
    }
    std::uint64_t ignored = 0;
    [[maybe_unused]] const auto bytes = ::read(accepted_.number(), &ignored, sizeof ignored);
    while (const int signal = signals_.take()) {
      handle(signal);
    }
    if (retiring_) {
      retire_old();
    }
  }

  void handle(int signal)
  {
    switch (signal) {
    case SIGTERM:
    case SIGINT:
      if (draining_) {
        log::info("told to end again: ending at once");
        drain_deadline_ = Clock::now();
      } else {
        begin_draining();
      }
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

  // Options that are fixed while the daemon runs keep their old values.
  void reload()
  {
    try {
      auto fresh = reload_();
      const FixedConfig& fixed = config_;
      for (const auto option : differing_options(fixed, fresh)) {
        log::warning("{} changes only with a restart", option);
      }
      static_cast<FixedConfig&>(fresh) = fixed;
      if (fresh.max_connections > limits_.connections) {
        log::warning("max-connections: the daemon has room for the {} it started with; more take a restart",
                     limits_.connections);
        fresh.max_connections = limits_.connections;
      }
      for (const auto& warning : link_warnings(config_.links, fresh.links)) {
        log::warning("{}", warning);
      }
      for (auto& listener : listeners_) {
        reconfigure(listener, config_, fresh);
      }
      config_ = std::move(fresh);
      segment_.header().max_connections = config_.max_connections;
      spares_.assign(listeners_.size(), SparePolicy{config_.spare_proxies});
      log::configure(config_.verbose);
      children_.signal(Children::Role::proxy, SIGTERM, [](const auto&) { return true; });
      reloaded_at_ = boot_time_now();
      retiring_ = true;
      log::info("configuration read again: new connections follow it");
    } catch (const std::runtime_error& error) {
      log::error("configuration not read, the old one stays: {}", error.what());
    }
  }

  // A proxy that was about to enter accept() when it was told to retire hears it again until it has gone.
  void retire_old()
  {
    retiring_ = boot_time_now() < reloaded_at_ + 1s;
    children_.signal(Children::Role::proxy, SIGTERM,
                     [this](const auto& child) { return children_.started(child.owner) < reloaded_at_; });
  }

  // --- draining

  void begin_draining()
  {
    segment_.header().draining = true;
    log::info("draining: {} connections go on for up to {} s, new ones bypass", busy(), config_.drain_timeout.count());
    draining_ = true;
    drain_deadline_ = Clock::now() + config_.drain_timeout;
    collect();
  }

  std::uint32_t busy() const
  {
    std::uint32_t idle = children_.count_waiting();
    for (std::size_t i = 0; i < spares_.size(); ++i) {
      idle += children_.count_idle(static_cast<std::uint16_t>(i));
    }
    return children_.count(Children::Role::proxy) - std::min(idle, children_.count(Children::Role::proxy));
  }

  // Connections whose SYN was intercepted before still find a proxy; then the idle ones go.
  void retire_idle()
  {
    if (pending_ > 0 && Clock::now() < drain_deadline_) {
      return;
    }
    listeners_.clear();
    children_.signal(Children::Role::proxy, SIGTERM, [](const auto&) { return true; });
  }

  bool drained() const
  {
    return draining_ && listeners_.empty() &&
           (children_.count(Children::Role::proxy) == 0 || Clock::now() >= drain_deadline_);
  }

  void finish_draining()
  {
    cutting_ = true;
    if (const auto cut = busy(); cut > 0) {
      log::warning("{} connections have not ended in time and are reset", cut);
    }
    children_.signal(Children::Role::proxy, SIGKILL, [](const auto&) { return true; });
    while (children_.count(Children::Role::proxy) > 0) {
      wait_for_events();
      reap();
    }
    log_counters();
    log::info("ended");
  }

  void end_queuers()
  {
    children_.signal(Children::Role::queuer, SIGTERM, [](const auto&) { return true; });
    while (children_.count(Children::Role::queuer) > 0) {
      children_.reap();
      std::this_thread::sleep_for(1ms);
    }
  }

  const pid_t self_{::getpid()};
  Config config_;
  std::function<Config()> reload_;
  SignalDescriptor signals_{SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
  FileDescriptor accepted_{check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))}; // a proxy became busy
  Limits limits_;
  SharedSegment segment_;
  ConnectionTable table_;
  Children children_;
  Keepers keepers_{children_, table_, segment_.header(), config_};
  std::vector<Listener> listeners_;
  std::optional<PidFile> pid_file_;
  std::vector<SparePolicy> spares_; // by listener
  std::vector<std::uint16_t> lost_queues_;
  Clock::time_point retry_queuers_at_{};
  Clock::time_point retry_forks_at_{};
  log::RateLimit fork_warning_{60s};
  Clock::time_point next_collection_{};
  std::uint32_t pending_{}; // at the last collection
  bool filling_{};          // idle proxies are missing, but not so many that it is urgent
  bool retiring_{};
  BootTime reloaded_at_{};
  bool ready_{};
  bool draining_{};
  Clock::time_point drain_deadline_{};
  bool cutting_{}; // it is over: what is left is killed
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
