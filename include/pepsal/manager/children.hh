#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/types.h>

#include "pepsal/table/connection_table.hh"
#include "pepsal/table/shared_segment.hh"

namespace pepsal {

// The manager's children and their numbers in the shared roster. A number names the owner of a slot, so
// the number of a child that died with slots in hand is not given out again before they are collected.
class Children
{
public:
  enum class Role
  {
    queuer,
    proxy
  };

  struct Child
  {
    Role role;
    Owner owner;
    std::uint16_t index; // the queuer's queue, or the proxy's listener
  };

  struct Ended
  {
    pid_t pid;
    Child child;
    bool crashed;       // by a signal or with a failure status
    std::string manner; // for the log: "signal 9", "status 1"
  };

  explicit Children(const SharedSegment& segment);

  // Forks a child that runs `body` with its number. Throws SystemError when there is no process to be had.
  pid_t spawn(Role role, std::uint16_t index, const std::function<int(Owner)>& body);

  // The next child that has ended, or nothing.
  std::optional<Ended> reap();

  // Whether the process with this number lives.
  bool is_alive(Owner owner) const { return owner < alive_.size() && alive_[owner]; }

  // The slots of all that died have been collected: their numbers may be given out again.
  void forget_dead();
  bool has_dead() const { return !dead_.empty(); }

  // Proxies of one listener that wait for a connection, or have not come so far yet.
  std::uint32_t count_idle(std::uint16_t listener) const;
  std::uint32_t count(Role role) const;

  // Sends `signal` to each child of this role that `which` names.
  void signal(Role role, int signal, const std::function<bool(const Child&)>& which) const;

  ProcessState state(Owner owner) const;
  BootTime started(Owner owner) const { return BootTime{roster_[owner].started_ns.load()}; }
  void set_state(Owner owner, ProcessState state);

private:
  std::span<RosterEntry> roster_;
  std::span<std::atomic<std::uint8_t>> states_;
  std::unordered_map<pid_t, Child> children_;
  std::vector<bool> alive_;
  std::vector<std::uint8_t> listeners_; // by owner
  std::priority_queue<Owner, std::vector<Owner>, std::greater<>> free_;
  std::vector<Owner> dead_;
  Owner highest_{}; // above it no number was ever given out
  std::uint32_t proxies_{};
};

} // namespace pepsal
