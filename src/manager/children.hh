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

// The manager's children and their numbers in the shared roster. A number names the owner of a slot, so
// the number of a child that died with slots in hand is not given out again before they are collected.
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
    bool crashed;       // by a signal or with a failure status
    int status;         // as wait(2) gives it
    ProcessState state; // the last that it showed
    bool orphan;        // adopted by adopt_orphan(): what has become of it its slot alone tells

    std::string manner() const; // for the log: "signal 9", "status 1"
    bool had_connection() const { return state == ProcessState::busy; }
  };

  explicit Children(SharedSegment& segment);

  // Forks a child that runs `body` with its number. Of the manager's descriptors it keeps `kept` and those by which it
  // logs and reads the table; of the table it may write what its role writes. Throws SystemError when there is no
  // process available.
  pid_t spawn(Role role, std::uint16_t index, std::vector<int> kept, const std::function<int(Owner)>& body);

  // A child of a program before this one in the same process. With the table of that program its number and its state
  // stay; otherwise it gets a number here, and `busy` says what it does.
  void adopt(pid_t pid, const Child& child, BootTime started, bool same_table, bool busy);

  // The same for a proxy that a manager which was killed has left in this table. It is not a child: that it has ended
  // is found out by asking, and it is signalled only while it holds its number's lock.
  void adopt_orphan(pid_t pid, const Child& child, BootTime started);
  bool has_orphans() const { return orphans_ > 0; }

  // After the last of them: what other numbers stand in the same table are dead.
  void adopt_table();

  // The next child that has ended, or nothing. An orphan counts as one that did not crash, and is_dead().
  std::optional<Ended> reap();

  // The orphans' part of reap(), which asks now and then.
  std::optional<Ended> find_ended_orphan();

  // Whether the process with this number lives.
  bool is_alive(Owner owner) const { return owner < records_.size() && records_[owner].alive; }

  // Whether it died and its slots have not been collected yet.
  bool is_dead(Owner owner) const { return std::find(dead_.begin(), dead_.end(), owner) != dead_.end(); }

  // The slots of all that died have been collected: their numbers may be given out again.
  void forget_dead();
  bool has_dead() const { return !dead_.empty(); }

  // Proxies of one listener that wait for a connection, or have not come so far yet.
  std::uint32_t count_idle(std::uint16_t listener) const;
  // No child has a larger number.
  Owner highest() const { return highest_; }
  // Far proxies that wait for a peer's client.
  std::uint32_t count_waiting() const;
  std::uint32_t count(Role role) const { return counts_.at(static_cast<std::size_t>(role)); }

  // Sends `signal` to each child of this role that `which` names.
  void signal(Role role, int signal, const std::function<bool(const Child&)>& which) const;

  // Calls `visit` with each living child and its pid.
  void for_each(const std::function<void(const Child&, pid_t)>& visit) const;

  // Tells all of this role to end (SIGTERM), and waits until they have; others that end meanwhile are reaped, too.
  void end_all(Role role);

  // Whether it was adopted by adopt_orphan().
  bool is_orphan(Owner owner) const { return records_[owner].orphan; }

  ProcessState state(Owner owner) const;
  BootTime started(Owner owner) const { return records_[owner].started; }
  void set_state(Owner owner, ProcessState state);

private:
  // What the manager acts on. The roster, which every process may write, says the same for display alone.
  struct Record
  {
    Child child;
    pid_t pid; // not given to another process before it is reaped (wait(2))
    BootTime started;
    Owner next_free;
    bool alive;
    bool orphan{};
  };

  Ended note_ended(Owner owner, int status);
  bool is_held(Owner owner) const;
  std::uint32_t& count_of(Role role) { return counts_.at(static_cast<std::size_t>(role)); }
  Owner take_number();
  void give_back(Owner owner);
  std::optional<Owner> find(pid_t pid) const;

  SharedSegment& segment_;
  std::span<RosterEntry> roster_;
  std::span<std::atomic<std::uint8_t>> states_;
  // Not private memory, of which fork(2) makes the manager copy every page that it writes to between two forks. No
  // child has it (MADV_DONTFORK).
  boost::interprocess::mapped_region memory_;
  std::span<Record> records_;
  Owner first_free_{no_owner};
  std::vector<Owner> dead_;
  Owner highest_{}; // above it no number was ever given out
  std::uint32_t orphans_{};
  Owner next_checked_{}; // of the orphans, whose lock is looked at in turn
  std::chrono::steady_clock::time_point next_look_{};
  std::array<std::uint32_t, roles> counts_{}; // of living ones
};

} // namespace pepsal
