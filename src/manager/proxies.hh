#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "manager/children.hh"
#include "manager/diallers.hh"
#include "manager/keepers.hh"
#include "manager/spare_policy.hh"
#include "proxy/session.hh"
#include "shared/connection_table.hh"
#include "tcp/listener.hh"
#include "util/file_descriptor.hh"
#include "util/log.hh"

namespace pepsal {

// The proxies and the listeners they accept on: forked ahead of need, replaced once used, retired when the
// configuration changes or the daemon ends.
class Proxies
{
public:
  using Time = std::chrono::steady_clock::time_point;

  // All must outlive it; `config` may change between calls.
  Proxies(Children& children, ConnectionTable& table, const SharedSegment& segment, Keepers& keepers,
          Diallers& diallers, const Config& config, Confinement& confinement);

  // Opens the listeners, including those for peers, or takes them from `kept`. Throws as open_listeners() does.
  void listen(std::vector<Listener> kept);
  std::span<const Listener> listeners() const { return listeners_; }
  // Closes them: connections that have not been accepted are reset.
  void stop_listening() { listeners_.clear(); }
  bool is_listening() const { return !listeners_.empty(); }

  // Forks proxies that are missing. If no process can be started, or proxies die before they serve, new connections
  // bypass until the next try.
  void keep_ready(Time now);

  // A proxy has ended.
  void note_end(const Children::Ended& ended, Time now);

  // The configuration has changed from `before`: listeners follow it, and idle proxies give way to new ones.
  void follow(const Config& before);

  // Interfaces have come or gone: listeners of one that was recreated under the same name move to it, and idle proxies
  // give way.
  void follow_interfaces();

  // Undoes what a compromised process may have changed on a listener.
  void restore_listeners();

  // The port is shared only with sockets of the same user (SO_REUSEPORT), which is this one from now on.
  void give_to(uid_t user);

  // Proxies of the previous program end as soon as they have no connection.
  void replace_idle();

  // Tells idle proxies from before the last change again: one that was about to enter accept() misses the first signal.
  void retire_old();

  // Ends all idle ones.
  void retire_idle() const;

  // Proxies that have a connection.
  std::uint32_t busy() const;

  // Whether it has something to do soon, without an event.
  bool is_restless() const;

  // Readable when a proxy has taken a connection and few idle proxies are left.
  int wake_ups() const { return accepted_.number(); }

private:
  bool may_start(std::size_t listener, std::uint32_t idle_there) const;
  std::uint32_t most_waiting() const;
  bool start(std::size_t listener);
  std::vector<int> descriptors_of_a_proxy(std::size_t listener) const;
  int run_child(Owner owner, std::size_t listener);
  void pause_forking(Time until);
  std::string open_again(std::size_t listener);
  bool replace_closed(std::size_t listener);
  bool is_neglected(std::size_t listener, Time now);

  const pid_t manager_;
  Children& children_;
  ConnectionTable& table_;
  const SharedSegment& segment_;
  Keepers& keepers_;
  Diallers& diallers_;
  const Config& config_;
  Confinement& confinement_;
  FileDescriptor accepted_; // an eventfd: a proxy became busy
  std::vector<Listener> listeners_;
  std::vector<SparePolicy> spares_;    // by listener
  std::vector<Time> unaccepted_since_; // by listener; since when a connection has been waiting to be accepted
  bool filled_once_{};
  bool filling_{}; // idle ones are missing, but too few to be urgent
  bool retiring_{};
  BootTime changed_at_{}; // when the configuration last changed
  Time retry_forks_at_{};
  BackOff back_off_;
  std::unique_ptr<Session::Memory> session_memory_{std::make_unique_for_overwrite<Session::Memory>()}; // every child's
  log::RateLimit listener_warning_{std::chrono::seconds{60}};
  log::RateLimit fork_warning_{std::chrono::seconds{60}};
  log::RateLimit death_warning_{std::chrono::seconds{60}};
};

} // namespace pepsal
