#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/control_socket.hh"
#include "manager/children.hh"
#include "manager/collector.hh"
#include "manager/diallers.hh"
#include "manager/keepers.hh"
#include "manager/lifecycle.hh"
#include "manager/limits.hh"
#include "manager/manager.hh"
#include "manager/orphans.hh"
#include "manager/pid_file.hh"
#include "manager/proxies.hh"
#include "manager/queuers.hh"
#include "manager/reload.hh"
#include "shared/connection_table.hh"
#include "tcp/interface_watch.hh"
#include "util/log.hh"
#include "util/notify.hh"
#include "util/process.hh"

namespace pepsal {

// The manager and its parts. manager.cc has the loop and what each state does, manager_start.cc how it starts and how
// another program takes its place, manager_commands.cc what it is told to do.
class Manager
{
public:
  // Opens the shared table, or takes over that of the previous program. Throws as SharedSegment's factories do.
  explicit Manager(ManagerStart start);
  ~Manager();
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // Runs until it is told to end; returns the exit status. Throws, with nothing left behind, if the start fails.
  int run();

private:
  // Whether the previous program's table is kept, which takes the same layout.
  bool has_its_table() const { return start_.before && start_.before->layout == layout_version; }
  SharedSegment make_segment();
  std::optional<SharedSegment> find_left_behind(std::optional<uid_t> other_owner);
  std::uint32_t room_of_the_table() const;
  void adopt_orphans();
  void keep_what_is_fixed(const Handover& before);

  // Everything that can fail, while whoever started the daemon is still there to read why.
  void start();
  void open_files();
  void become_its_user();

  // Ends queuers, dialler and keepers of the previous program; this program's take their place.
  void end_old_helpers();
  void answer_who_restarted();
  void log_ready() const;

  // For people who ask the service manager (systemctl status).
  std::string status() const;
  void tell_watchdog();

  // --- what each state does
  void advance();
  void end();
  void begin_to_drain();
  void cut();

  // --- children
  void reap();
  void note_end(const Children::Ended& ended);
  void collect_if_due();

  // Repairs what other processes rely on, as a compromised process can write there, too.
  void restore_header();
  void collect();

  // --- events
  void wait_for_events();
  void handle(int signal);
  void reload();
  std::string apply_configuration();

  // --- commands
  void obey(ControlSocket::Request& request);
  std::string drain(std::chrono::seconds grace);
  std::string tell_rate(const std::string& interface, const std::string& rate);
  std::string undrain();

  // Kills the connection in slot `id`, if it is still the one between these two.
  std::string kill(std::uint32_t id, const std::string& client, const std::string& server);

  // Returns only by an exception; otherwise another program runs in this process.
  void restart(int asker);

  // Throws std::runtime_error if another program has the port that the next one is to listen on.
  void require_its_port_is_free() const;

  // Ends without ending a connection. Does not return.
  [[noreturn]] void give_way();
  void log_counters() const;

  ManagerStart start_;
  Config config_;
  SignalDescriptor signals_{SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD};
  Limits limits_;
  std::vector<Orphan> orphans_; // of a manager that was killed or gave way; after the start, Children has them
  bool gave_way_{};             // whether it gave way
  SharedSegment segment_;
  std::uint32_t room_; // connections that the table has room for
  ConnectionTable table_;
  log::LossCount losses_{table_.lost_log_lines()};
  Children children_;
  Collector collector_{children_, table_};
  ToldRates told_rates_;
  std::optional<PidFile> pid_file_;
  std::optional<ControlSocket> control_;
  InterfaceWatch interfaces_;
  Confinement confinement_{Role::manager, Role::keeper, Role::dialler, Role::proxy, Role::session, Role::paced_session};
  Keepers keepers_{children_, table_, segment_.peers(), config_, confinement_};
  Diallers diallers_{children_, table_, config_, confinement_};
  Proxies proxies_{children_, table_, segment_, keepers_, diallers_, config_, confinement_};
  Queuers queuers_{children_, table_, diallers_, config_};
  Lifecycle lifecycle_;
  ServiceNotifier service_;
  std::chrono::steady_clock::time_point next_collection_{};
};

} // namespace pepsal
