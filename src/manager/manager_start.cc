// How the manager starts, from scratch or in place of an earlier program, and how it gives way to the next one. What
// is not available ends the start with one line.

#include "manager/connection_manager.hh"

#include <algorithm>
#include <array>
#include <thread>

#include <csignal>
#include <fmt/core.h>
#include <unistd.h>

#include "link/prepared.hh"
#include "manager/privileges.hh"
#include "peer/peer_listener.hh"
#include "util/system_error.hh"
#include "util/user.hh"
#include "util/version.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::uint32_t roster_reserve = 256; // numbers for queuers and for dead processes not yet collected

// The rates that modems reported to the previous daemon, for which the interfaces are still prepared.
ToldRates rates_told_before(const std::vector<Link>& links)
{
  ToldRates rates;
  for (const auto& link : links) {
    if (auto rate = told_rate(link.interface); link.has_rates() && !rate.empty()) {
      log::info("link {}: new connections use the rate {}", link.interface, rate);
      rates[link.interface] = std::move(rate);
    }
  }
  return rates;
}

// The user who may own the memory of a previous daemon.
std::optional<uid_t> owner_before(const std::string& user)
{
  return user.empty() ? std::nullopt : std::optional{find_user(user).user};
}

} // namespace

Manager::Manager(ManagerStart start)
    : start_{std::move(start)}
    , config_{std::move(start_.config)}
    , limits_{find_limits(config_.max_connections, !config_.user.empty())}
    , segment_{make_segment()}
    , room_{room_of_the_table()}
    , table_{segment_}
    , children_{segment_}
{
  limits_.connections = std::min(limits_.connections, room_);
  config_.max_connections = std::min(config_.max_connections, limits_.connections);
  auto& header = segment_.header();
  header.max_connections = config_.max_connections;
  header.max_per_client = per_client_limit(config_);
  header.leaving = false;
  header.draining = false;
}

Manager::~Manager()
{
  // While the table is still held: the next daemon may start as soon as it is not, and creates its own files in these
  // places.
  control_.reset();
  pid_file_.reset();
  if (orphans_.empty() && !children_.has_orphans()) { // otherwise a start has failed, and the next should find them
    segment_.remove_name();
  }
}

SharedSegment Manager::make_segment()
{
  if (start_.before) {
    keep_what_is_fixed(*start_.before);
  }
  if (start_.before) {
    FileDescriptor memory{start_.before->table};
    FileDescriptor to_read{start_.before->table_to_read};
    if (has_its_table()) {
      return SharedSegment::adopt(config_.instance, std::move(memory), std::move(to_read));
    }
  } // otherwise no child may have them
  const auto other_owner = owner_before(config_.user);
  if (auto left_behind = find_left_behind(other_owner)) {
    return std::move(*left_behind);
  }
  return SharedSegment::create(
      config_.instance, {.max_connections = limits_.connections, .processes = limits_.connections + roster_reserve},
      other_owner);
}

std::optional<SharedSegment> Manager::find_left_behind(std::optional<uid_t> other_owner)
{
  auto segment = start_.before ? std::nullopt : SharedSegment::take_over(config_.instance, other_owner);
  if (!segment || segment->roster().size() <= roster_reserve) {
    return std::nullopt;
  }
  gave_way_ = segment->header().leaving;
  auto orphans = find_orphans(*segment);
  if (!orphans) {
    log::warning("connections of a daemon that was killed go on unlisted: not all of its processes are known");
    return std::nullopt;
  }
  if (orphans->empty()) {
    return std::nullopt;
  }
  orphans_ = std::move(*orphans);
  return segment;
}

std::uint32_t Manager::room_of_the_table() const
{
  if (has_its_table()) {
    return start_.before->room;
  }
  return orphans_.empty() ? limits_.connections : static_cast<std::uint32_t>(segment_.roster().size()) - roster_reserve;
}

void Manager::adopt_orphans()
{
  if (orphans_.empty()) {
    return;
  }
  for (const auto& orphan : orphans_) {
    children_.adopt_orphan(orphan.pid, {.role = Children::Role::proxy, .owner = orphan.owner, .index = orphan.index},
                           orphan.started);
  }
  children_.adopt_table();
  if (gave_way_) {
    log::info("{} connections of the previous daemon are taken over", orphans_.size());
  } else {
    log::warning("{} connections of a daemon that was killed are taken over", orphans_.size());
  }
  orphans_.clear();
}

void Manager::keep_what_is_fixed(const Handover& before)
{
  const auto tell = [](const char* option) { log::warning("{} takes effect only after a stop and a start", option); };
  if (config_.instance != before.instance) {
    tell("instance");
    config_.instance = before.instance;
  }
  if (!config_.user.empty() && find_user(config_.user).user != ::geteuid()) {
    tell("user");
    config_.user.clear(); // it keeps its user
  }
}

void Manager::start()
{
  const auto& before = start_.before;
  require_net_admin();
  told_rates_ = before ? before->rates : rates_told_before(config_.links);
  apply_rates(config_, told_rates_);
  check_peers_are_reached(config_);
  keepers_.load_key(before ? before->peer_key : std::string{});
  proxies_.listen(before ? adopt_listeners(*before, config_) : std::vector<Listener>{});
  open_files();
  become_its_user();
  if (before) {
    adopt_children(children_, *before, has_its_table());
    end_old_helpers();
  }
  adopt_orphans();
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

void Manager::open_files()
{
  const auto& before = start_.before;
  queuers_.queue_watch().open(before ? before->queues : -1);
  if (before && before->pidfile == config_.pidfile) {
    pid_file_.emplace(config_.pidfile, FileDescriptor{before->pid_folder}, FileDescriptor{before->pid_file});
  } else {
    if (before) { // of another place; no child may have them
      FileDescriptor{before->pid_file}.close();
      FileDescriptor{before->pid_folder}.close();
    }
    pid_file_.emplace(config_.pidfile);
  }
  if (before && before->control != -1) {
    control_.emplace(config_.instance, FileDescriptor{before->control});
    return;
  }
  try {
    control_.emplace(config_.instance);
  } catch (const SystemError& error) {
    log::warning("{}: only signals can control this daemon", error.what());
  }
}

void Manager::become_its_user()
{
  if (config_.user.empty()) {
    return;
  }
  const auto user = find_user(config_.user);
  segment_.give_to(user.user, user.group);
  proxies_.give_to(user.user);
  if (::geteuid() != user.user || !start_.before) {
    become_user(config_.user);
  }
}

void Manager::end_old_helpers()
{
  constexpr auto patience = 1s;
  const auto deadline = Clock::now() + patience;
  constexpr std::array helpers{Children::Role::queuer, Children::Role::dialler, Children::Role::keeper};
  const auto is_there = [this](Children::Role role) { return children_.count(role) > 0; };
  for (int signal = SIGTERM; std::any_of(helpers.begin(), helpers.end(), is_there);
       signal = Clock::now() < deadline ? SIGTERM : SIGKILL) {
    for (const auto role : helpers) {
      children_.signal(role, signal, [](const auto&) { return true; });
    }
    while (const auto ended = children_.reap()) {
      if (ended->child.role == Children::Role::proxy) {
        proxies_.note_end(*ended, Clock::now());
      }
    }
    std::this_thread::sleep_for(1ms);
  }
}

void Manager::answer_who_restarted()
{
  if (!start_.before) {
    return;
  }
  const auto text =
      fmt::format("restarted as version {} (before: {}): {} connections go on{}", version(), start_.before->version,
                  proxies_.busy(), has_its_table() ? "" : ", unlisted, because this version has another table layout");
  log::info("{}", text);
  ControlSocket::Request{FileDescriptor{start_.before->asker}, {}}.done(text);
  start_.before.reset();
}

void Manager::log_ready() const
{
  const auto queues = config_.first_queue == config_.last_queue
                          ? fmt::format("queue {}", config_.first_queue)
                          : fmt::format("queues {} to {}", config_.first_queue, config_.last_queue);
  log::info("ready: instance {}, port {}, {}, up to {} connections ({} descriptors in each process)", config_.instance,
            config_.port, queues, limits_.connections, limits_.descriptors);
  if (!limits_.scarcest.empty()) {
    log::warning("{} allows {} connections at once; more will bypass the proxy", limits_.scarcest, limits_.connections);
  }
}

// What --check cannot test, because the running daemon still has its sockets.
void Manager::require_its_port_is_free() const
{
  std::optional<Config> fresh;
  try {
    fresh = start_.read_configuration();
  } catch (const std::exception&) {
    return; // one that only the new program understands
  }
  if (fresh->port == config_.port) {
    return;
  }
  try {
    std::vector<Listener> none;
    static_cast<void>(open_listeners(*fresh, none));
  } catch (const std::exception& error) {
    throw std::runtime_error{fmt::format("not restarted: {}", error.what())};
  }
}

// As if it were killed: proxies with a connection continue alone, and the table stays for the next start, which takes
// over both (find_left_behind). All other processes end with this one.
void Manager::give_way()
{
  log::info("giving way to the next start: {} connections go on", proxies_.busy());
  service_.stopping();
  segment_.header().leaving = true;
  control_.reset();
  pid_file_.reset();
  ::_exit(EXIT_SUCCESS);
}

void Manager::restart(int asker)
{
  if (lifecycle_.is_leaving()) {
    throw std::runtime_error{"not restarted: it is draining"};
  }
  require_sound(start_.program);
  require_its_port_is_free();
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
           .table_to_read = segment_.descriptor_to_read(),
           .pid_folder = pid_file_->folder(),
           .pid_file = pid_file_->file(),
           .control = control_ ? control_->number() : -1,
           .asker = asker,
           .queues = queuers_.queue_watch().descriptor(),
           .peer_key = keepers_.key() != nullptr ? keepers_.key()->to_hex() : std::string{},
           .rates = told_rates_,
           .listeners = listeners_for(proxies_.listeners()),
           .children = children_for(children_)}
      .execute(start_.program.path, start_.program.arguments);
}

} // namespace pepsal
