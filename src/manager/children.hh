#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/interprocess/mapped_region.hpp>
#include <sys/types.h>

#include "shared/connection_table.hh"
#include "shared/shared_segment.hh"

namespace pepsal {

// The manager's children and their numbers in the shared roster. A number names the owner of a slot, so the number of a
// child that died holding slots is not reused until they are collected.
class Children
{
public:
  enum class Role
  {
    queuer,
    proxy,
    keeper,
    dialler
  };
  static constexpr std::size_t roles = 4;

  struct Child
  {
    Role role;
    Owner owner;
    std::uint16_t index; // the queuer's queue, the proxy's listener, or the keeper's peer
  };

  struct Ended
  {
    pid_t pid;
    Child child;
    bool crashed;       // ended by a signal or with a failure status
    int status;         // as returned by wait(2)
    ProcessState state; // the last one it reported
    bool orphan;        // adopted by adopt_orphan(): only its slot shows what became of it

    std::string manner() const; // for the log: "signal 9", "status 1"
    bool had_connection() const { return state == ProcessState::busy; }
  };

  explicit Children(SharedSegment& segment);

  // Forks a child that runs `body` with its number. It keeps the descriptors in `kept` and those for logging and for
  // reading the table, and can write only those parts of the table that its role writes. Throws SystemError if no
  // process can be started.
  pid_t spawn(Role role, std::uint16_t index, std::vector<int> kept, const std::function<int(Owner)>& body);

  // Adopts a child of the program that ran in this process before. If that program's table is kept, so are the child's
  // number and state; otherwise it gets a new number, and `busy` tells its state.
  void adopt(pid_t pid, const Child& child, BootTime started, bool same_table, bool busy);

  // The same for a proxy that a killed manager left in this table. As it is not a child, its end is found by polling,
  // and it is signalled only while it holds its number's lock.
  void adopt_orphan(pid_t pid, const Child& child, BootTime started);
  bool has_orphans() const { return orphans_ > 0; }

  // Call after the last adoption: all other numbers in the same table are dead.
  void adopt_table();

  // The next child that has ended, if any. An orphan counts as not crashed, and is_dead().
  std::optional<Ended> reap();

  // The part of reap() for orphans; polls now and then.
  std::optional<Ended> find_ended_orphan();

  // Whether the process with this number is alive.
  bool is_alive(Owner owner) const { return owner < records_.size() && records_[owner].alive; }

  // Whether it died and its slots have not been collected yet.
  bool is_dead(Owner owner) const { return std::find(dead_.begin(), dead_.end(), owner) != dead_.end(); }

  // The slots of all dead processes have been collected: their numbers may be reused.
  void forget_dead();
  bool has_dead() const { return !dead_.empty(); }

  // Proxies of one listener that wait for a connection, or are about to.
  std::uint32_t count_idle(std::uint16_t listener) const;
  // No child has a higher number.
  Owner highest() const { return highest_; }
  // Far proxies waiting for a peer's client.
  std::uint32_t count_waiting() const;
  std::uint32_t count(Role role) const { return counts_.at(static_cast<std::size_t>(role)); }

  // Sends `signal` to each child of this role that `which` selects.
  void signal(Role role, int signal, const std::function<bool(const Child&)>& which) const;

  // Calls `visit` with each living child and its pid.
  void for_each(const std::function<void(const Child&, pid_t)>& visit) const;

  // Tells all children of this role to end (SIGTERM) and waits for them; others that end meanwhile are reaped as well.
  void end_all(Role role);

  // Whether it was adopted by adopt_orphan().
  bool is_orphan(Owner owner) const { return records_[owner].orphan; }

  ProcessState state(Owner owner) const;
  BootTime started(Owner owner) const { return records_[owner].started; }

private:
  // What the manager acts on; no other process has it. The roster has the same, for display and for the manager that
  // follows a killed one.
  struct Record
  {
    Child child;
    pid_t pid; // not reused before it is reaped (wait(2))
    BootTime started;
    Owner next_free;
    bool alive;
    bool orphan{};
  };

  void set_state(Owner owner, ProcessState state);
  Ended note_ended(Owner owner, int status);
  bool is_held(Owner owner) const;
  std::uint32_t& count_of(Role role) { return counts_.at(static_cast<std::size_t>(role)); }
  Owner take_number();
  void give_back(Owner owner);
  std::optional<Owner> find(pid_t pid) const;

  SharedSegment& segment_;
  std::span<RosterEntry> roster_;
  std::span<std::atomic<std::uint8_t>> states_;
  // Shared, not private: after each fork(2) the manager would have to copy every private page that it writes to.
  // Children do not get it (MADV_DONTFORK).
  boost::interprocess::mapped_region memory_;
  std::span<Record> records_;
  Owner first_free_{no_owner};
  std::vector<Owner> dead_;
  Owner highest_{}; // no higher number was ever given out
  std::uint32_t orphans_{};
  Owner next_checked_{}; // orphan; their locks are checked in turn
  std::chrono::steady_clock::time_point next_look_{};
  std::array<std::uint32_t, roles> counts_{}; // of living children
};

} // namespace pepsal
