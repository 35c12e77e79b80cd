// The connection manager. It forks and reaps, and touches no packet and no byte of a connection. The start fails with
// one line when the name, the port, the pid file or a queue is taken or a privilege is missing. Afterwards want of
// processes only makes new connections bypass.

#include "manager/manager.hh"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include <csignal>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "confine/confinement.hh"
#include "control/control_socket.hh"
#include "manager/children.hh"
#include "manager/collector.hh"
#include "manager/diallers.hh"
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
#include "tcp/interface_watch.hh"
#include "util/log.hh"
#include "util/notify.hh"
#include "util/process.hh"
#include "util/system_error.hh"
#include "util/version.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;
using State = Lifecycle::State;
using namespace std::chrono_literals;

constexpr auto tick = 100ms;            // between looks at what has no event of its own: retiring, retrying
constexpr auto handshake_patience = 3s; // a SYN this old without its connection is not waited for when draining

std::uint32_t number_in(const std::string& word)
{
  std::uint32_t number = 0;
  const auto read = std::from_chars(word.data(), word.data() + word.size(), number);
  if (read.ec != std::errc{} || read.ptr != word.data() + word.size()) {
    throw std::runtime_error{fmt::format("'{}' is not a number", word)};
  }
  return number;
}

class Manager
{
public:
  explicit Manager(ManagerStart start)
      : start_{std::move(start)}
      , config_{std::move(start_.config)}
      , limits_{find_limits(config_.max_connections, !config_.user.empty())}
      , segment_{make_segment()}
      , table_{segment_}
      , children_{segment_}
  {
    if (has_its_table()) {
      limits_.connections = std::min(limits_.connections, start_.before->room);
    }
    room_ = has_its_table() ? start_.before->room : limits_.connections;
    config_.max_connections = std::min(config_.max_connections, limits_.connections);
    auto& header = segment_.header();
    header.max_connections = config_.max_connections;
    header.max_per_client = per_client_limit(config_);
    header.leaving = false;
    header.draining = false;
  }

  ~Manager() { segment_.remove_name(); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  int run()
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

private:
  // Whose the memory of a daemon before this one may be.
  static std::optional<uid_t> owner_before(const std::string& user)
  {
    return user.empty() ? std::nullopt : std::optional{find_user(user).user};
  }

  // The table of the program before this one goes on, if both understand it alike.
  bool has_its_table() const { return start_.before && start_.before->layout == layout_version; }

  SharedSegment make_segment()
  {
    if (start_.before) {
      keep_what_is_fixed(*start_.before);
    }
    if (has_its_table()) {
      return SharedSegment::adopt(config_.instance, FileDescriptor{start_.before->table});
    }
    return SharedSegment::create(
        config_.instance, {.max_connections = limits_.connections, .processes = limits_.connections + roster_reserve},
        owner_before(config_.user));
  }

  void keep_what_is_fixed(const Handover& before)
  {
    if (config_.instance != before.instance) {
      log::warning("instance changes only with a stop and a start");
      config_.instance = before.instance;
    }
  }

  // All that can fail, while the one who started the daemon is still there to read why.
  void start()
  {
    const auto& before = start_.before;
    require_net_admin();
    if (before) {
      told_rates_ = before->rates;
      apply_rates(config_, told_rates_);
    }
    check_peers_are_reached(config_);
    keepers_.load_key(before ? before->peer_key : std::string{});
    proxies_.listen(before ? adopt_listeners(*before, config_) : std::vector<Listener>{});
    open_files();
    become_its_user();
    if (before) {
      adopt_children(children_, *before, has_its_table());
      end_old_helpers();
    }
    confinement_.enter(Role::manager);
    diallers_.start();
    queuers_.start_all();
    keepers_.start_all();
    if (before) {
      proxies_.replace_idle();
    }
    proxies_.keep_ready(Clock::now());
    set_title("pepsal: connection manager");
    lifecycle_.start_serving();
  }

  void open_files()
  {
    const auto& before = start_.before;
    if (before && before->pidfile == config_.pidfile) {
      pid_file_.emplace(config_.pidfile, FileDescriptor{before->pid_folder}, FileDescriptor{before->pid_file});
    } else {
      pid_file_.emplace(config_.pidfile);
    }
    if (before && before->control != -1) {
      control_.emplace(config_.instance, FileDescriptor{before->control});
      return;
    }
    try {
      control_.emplace(config_.instance);
    } catch (const SystemError& error) {
      log::warning("{}: takes no commands but signals", error.what());
    }
  }

  void become_its_user()
  {
    if (config_.user.empty()) {
      return;
    }
    const auto user = find_user(config_.user);
    segment_.give_to(user.user, user.group);
    if (::geteuid() != user.user || !start_.before) {
      become_user(config_.user);
    }
  }

  // Queuers, dialler and keepers of the program before this one. Their queues and peers wait for new ones, which are of
  // this one.
  void end_old_helpers()
  {
    using Role = Children::Role;
    constexpr auto patience = 1s;
    const auto deadline = Clock::now() + patience;
    constexpr std::array helpers{Role::queuer, Role::dialler, Role::keeper};
    const auto is_there = [this](Role role) { return children_.count(role) > 0; };
    for (int signal = SIGTERM; std::any_of(helpers.begin(), helpers.end(), is_there);
         signal = Clock::now() < deadline ? SIGTERM : SIGKILL) {
      for (const auto role : helpers) {
        children_.signal(role, signal, [](const auto&) { return true; });
      }
      while (const auto ended = children_.reap()) {
        if (ended->child.role == Role::proxy) {
          proxies_.note_end(*ended, Clock::now());
        }
      }
      std::this_thread::sleep_for(1ms);
    }
  }

  void answer_who_restarted()
  {
    if (!start_.before) {
      return;
    }
    const auto text =
        fmt::format("restarted as version {} (before: {}): {} connections go on{}", version(), start_.before->version,
                    proxies_.busy(), has_its_table() ? "" : ", unlisted, as this version has another table");
    log::info("{}", text);
    ControlSocket::Request{FileDescriptor{start_.before->asker}, {}}.done(text);
    start_.before.reset();
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

  // For people who ask the service manager.
  std::string status() const
  {
    return fmt::format("{}: {} connections of up to {}", lifecycle_.is_ending() ? "draining" : "serving",
                       proxies_.busy(), limits_.connections);
  }

  void tell_watchdog()
  {
    if (const auto now = Clock::now(); service_.is_due(now)) {
      service_.alive(now, status());
    }
  }

  // --- what each state does

  void advance()
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
    const bool was_ending = lifecycle_.is_ending();
    lifecycle_.end(Clock::now(), config_.drain_timeout);
    if (was_ending) {
      log::info("told to end again: ending at once");
      collect();
    } else {
      begin_to_drain();
    }
  }

  void begin_to_drain()
  {
    segment_.header().leaving = true;
    segment_.header().draining = true;
    log::info("draining: {} connections go on for up to {} s, new ones bypass", proxies_.busy(),
              config_.drain_timeout.count());
    service_.draining(status(), config_.drain_timeout);
    collect();
  }

  void cut()
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

  void collect_if_due()
  {
    if (Clock::now() >= next_collection_) {
      collect();
    }
  }

  // A process that was taken over can write there, too; what the others go by is put right.
  void restore_header()
  {
    auto& header = segment_.header();
    segment_.restore_header();
    header.manager_pid = ::getpid();
    header.max_connections = config_.max_connections;
    header.max_per_client = per_client_limit(config_);
    header.leaving = lifecycle_.is_leaving();
    header.draining = lifecycle_.is_ending();
  }

  void collect()
  {
    restore_header();
    const bool ending = lifecycle_.is_ending();
    collector_.collect(ending ? std::chrono::seconds{handshake_patience} : config_.pending_lifetime,
                       lifecycle_.state() == State::cutting ? "drain-timeout" : "proxy-killed",
                       config_.log_connections != LogConnections::none);
    next_collection_ = Clock::now() + (ending ? std::chrono::milliseconds{tick} : config_.gc_interval);
  }

  // --- events

  void wait_for_events()
  {
    const bool ticking =
        lifecycle_.is_leaving() || proxies_.is_restless() || diallers_.next_look() != Clock::time_point::max() ||
        queuers_.next_look() != Clock::time_point::max() || keepers_.next_look() != Clock::time_point::max();
    const auto planned = std::min(next_collection_, service_.next());
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

  void handle(int signal)
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

  void reload()
  {
    try {
      log::info("{}", apply_configuration());
    } catch (const std::runtime_error& error) {
      log::error("configuration not read, the old one stays: {}", error.what());
    }
  }

  std::string apply_configuration()
  {
    auto fresh = start_.read_configuration();
    apply_rates(fresh, told_rates_);
    auto plan = plan_reload(config_, std::move(fresh), room_);
    for (const auto& warning : plan.warnings) {
      log::warning("{}", warning);
    }
    const auto before = std::exchange(config_, std::move(plan.config));
    segment_.header().max_connections = config_.max_connections;
    segment_.header().max_per_client = per_client_limit(config_);
    log::configure(config_.verbose);
    proxies_.follow(before);
    diallers_.follow();
    return fmt::format("configuration read again: new connections follow it{}{}", plan.warnings.empty() ? "" : "; ",
                       fmt::join(plan.warnings, "; "));
  }

  // --- commands

  void obey(ControlSocket::Request& request)
  {
    const auto words = request.words();
    const auto command = words.empty() ? std::string{} : words[0];
    if (command == "reload") {
      request.done(apply_configuration());
    } else if (command == "restart") {
      restart(request.asker());
    } else if (command == "drain" && words.size() == 2) {
      request.done(drain(std::chrono::seconds{number_in(words[1])}));
    } else if (command == "link" && words.size() == 3) {
      request.done(tell_rate(words[1], words[2]));
    } else if (command == "undrain") {
      request.done(undrain());
    } else if (command == "kill" && words.size() == 4) {
      request.done(kill(number_in(words[1]), words[2], words[3]));
    } else {
      throw std::runtime_error{"this version knows no such command"};
    }
  }

  std::string drain(std::chrono::seconds grace)
  {
    if (lifecycle_.is_ending()) {
      throw std::runtime_error{"it is ending already"};
    }
    lifecycle_.leave(Clock::now(), grace, config_.drain_timeout);
    segment_.header().leaving = true;
    const auto text = fmt::format("unhealthy from now on; in {} s new connections bypass, and up to {} s later it ends",
                                  grace.count(), config_.drain_timeout.count());
    log::info("told to drain: {}", text);
    return text;
  }

  std::string tell_rate(const std::string& interface, const std::string& rate)
  {
    if (find_link(config_.links, interface) == nullptr) {
      throw std::runtime_error{fmt::format("'{}' is no link of the configuration", interface)};
    }
    auto rates = told_rates_;
    rates[interface] = rate;
    auto fresh = config_;
    apply_rates(fresh, rates);
    const auto before = std::exchange(config_, std::move(fresh));
    told_rates_ = std::move(rates);
    proxies_.follow(before);
    const auto text = fmt::format("link {}: new connections follow the rate {}", interface, rate);
    log::info("{}", text);
    return text;
  }

  std::string undrain()
  {
    if (!lifecycle_.stay()) {
      throw std::runtime_error{"too late: it listens no more"};
    }
    segment_.header().leaving = false;
    segment_.header().draining = false;
    log::info("told not to drain: serving");
    return "serving";
  }

  // The connection in slot `id`, if it is still the one between these two.
  std::string kill(std::uint32_t id, const std::string& client, const std::string& server)
  {
    const auto slots = segment_.slots();
    if (id >= slots.size()) {
      throw std::runtime_error{fmt::format("there is no connection {}", id)};
    }
    const auto entry = TableView::observe(slots[id], Control{slots[id].control.load(std::memory_order_acquire)});
    const bool same = entry.connection.client.to_string() == client && entry.connection.server.to_string() == server;
    if (!same || entry.state == SlotState::free || entry.state == SlotState::reserved) {
      throw std::runtime_error{fmt::format("connection {} has ended", id)};
    }
    if (entry.state == SlotState::pending || !children_.is_alive(entry.owner)) {
      throw std::runtime_error{fmt::format("connection {} has not reached a proxy yet", id)};
    }
    collector_.note_killed(entry.owner);
    children_.signal(Children::Role::proxy, SIGKILL, [&](const auto& child) { return child.owner == entry.owner; });
    return fmt::format("connection {} from {} to {} is reset", id, client, server);
  }

  // Comes back only as another program, or by an exception.
  void restart(int asker)
  {
    if (lifecycle_.is_leaving()) {
      throw std::runtime_error{"not restarted: it is draining"};
    }
    require_sound(start_.program);
    log::info("restarting: {} is executed in this process", start_.program.path);
    Handover{.version = version(),
             .instance = config_.instance,
             .pidfile = config_.pidfile,
             .address = config_.address,
             .port = config_.port,
             .peer_port = config_.peers.port,
             .layout = layout_version,
             .room = room_,
             .table = segment_.descriptor(),
             .pid_folder = pid_file_->folder(),
             .pid_file = pid_file_->file(),
             .control = control_ ? control_->number() : -1,
             .asker = asker,
             .peer_key = keepers_.key() != nullptr ? keepers_.key()->to_hex() : std::string{},
             .rates = told_rates_,
             .listeners = listeners_for(proxies_.listeners()),
             .children = children_for(children_)}
        .execute(start_.program.path, start_.program.arguments);
  }

  void log_counters() const
  {
    for (const auto& counter : counter_rows) {
      log::info("counter {}={}", counter.name, table_.counter(counter.id));
    }
    log::info("counter entries={} proxies={}", table_.size(), children_.count(Children::Role::proxy));
  }

  // In a child: closes what is the manager's alone.
  void let_go()
  {
    signals_.close();
    interfaces_.abandon();
    pid_file_->abandon();
    if (control_) {
      control_->abandon();
    }
  }

  static constexpr std::uint32_t roster_reserve = 256; // numbers for queuers and for the dead not collected yet

  ManagerStart start_;
  Config config_;
  SignalDescriptor signals_{SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
  Limits limits_;
  std::uint32_t room_{}; // connections that the table was made for
  SharedSegment segment_;
  ConnectionTable table_;
  log::LossCount losses_{table_.lost_log_lines()};
  Children children_;
  Collector collector_{children_, table_};
  ToldRates told_rates_;
  std::optional<PidFile> pid_file_;
  std::optional<ControlSocket> control_;
  InterfaceWatch interfaces_;
  Confinement confinement_{Role::manager, Role::keeper, Role::dialler, Role::proxy};
  Keepers keepers_{children_, table_, segment_.header(), config_, confinement_};
  Diallers diallers_{children_, table_, config_, confinement_, [this] {
                       let_go();
                       proxies_.stop_listening();
                     }};
  Proxies proxies_{children_, table_,  segment_.header(), keepers_,
                   diallers_, config_, confinement_,      [this] { let_go(); }};
  Queuers queuers_{children_, table_, diallers_, config_};
  Lifecycle lifecycle_;
  ServiceNotifier service_;
  Clock::time_point next_collection_{};
};

} // namespace

int run_manager(ManagerStart start)
{
  ::signal(SIGPIPE, SIG_IGN); // splice(2) into a closed socket raises it; the error is enough
  const auto& config = start.config;
  const auto channels = config.connect == Connect::honest ? 2U * (config.last_queue - config.first_queue + 2U) : 0U;
  require_descriptors(1 + config.links.size() + channels);
  run_in_turn(); // a proxy is done with a message before the next one could have interrupted it
  return Manager{std::move(start)}.run();
}

} // namespace pepsal
