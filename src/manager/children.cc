// Bookkeeping of the manager's children: forking, reaping, numbering. Forking throws if no process can be started.

#include "manager/children.hh"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <csignal>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "util/log.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

struct RoleFacts
{
  ProcessState initial;
  SharedSegment::Writer writer;
};

const RoleFacts& facts_of(Children::Role role)
{
  static constexpr std::array<RoleFacts, Children::roles> facts{
      {{.initial = ProcessState::queuer, .writer = SharedSegment::Writer::queuer},
       {.initial = ProcessState::starting, .writer = SharedSegment::Writer::proxy},
       {.initial = ProcessState::keeper, .writer = SharedSegment::Writer::keeper},
       {.initial = ProcessState::dialler, .writer = SharedSegment::Writer::dialler}}};
  return facts.at(static_cast<std::size_t>(role));
}

} // namespace

Children::Children(SharedSegment& segment)
    : segment_{segment}
    , roster_{segment.roster()}
    , states_{segment.process_states()}
    , memory_{boost::interprocess::anonymous_shared_memory(roster_.size() * sizeof(Record))}
    , records_{static_cast<Record*>(memory_.get_address()), roster_.size()}
{
  std::uninitialized_value_construct(records_.begin(), records_.end());
  check("madvise MADV_DONTFORK", ::madvise(memory_.get_address(), memory_.get_size(), MADV_DONTFORK));
}

Owner Children::take_number()
{
  if (first_free_ != no_owner) {
    const auto owner = first_free_;
    first_free_ = records_[owner].next_free;
    return owner;
  }
  if (highest_ + 1 >= roster_.size()) {
    throw SystemError{EAGAIN, "roster of processes"};
  }
  return ++highest_; // 0 is no_owner
}

void Children::give_back(Owner owner)
{
  records_[owner].next_free = first_free_;
  first_free_ = owner;
}

pid_t Children::spawn(Role role, std::uint16_t index, std::vector<int> kept, const std::function<int(Owner)>& body)
{
  kept.push_back(log::descriptor());
  kept.push_back(segment_.descriptor_to_read());
  std::ranges::sort(kept); // here: a child would have to copy the pages it writes to
  const auto owner = take_number();
  set_state(owner, facts_of(role).initial);
  roster_[owner].index = index;
  records_[owner] = {.child = {.role = role, .owner = owner, .index = index},
                     .pid = 0,
                     .started = {},
                     .next_free = no_owner,
                     .alive = true};
  pid_t pid = 0;
  try {
    pid = fork_process([&] {
      segment_.keep_to(facts_of(role).writer);
      close_all_but(kept);
      ::signal(SIGINT, SIG_IGN); // Ctrl-C reaches the whole process group, but is meant for the manager, which drains
      return body(owner);
    });
  } catch (const SystemError&) {
    set_state(owner, ProcessState::none);
    records_[owner].alive = false;
    give_back(owner);
    throw;
  }
  records_[owner].pid = pid;
  records_[owner].started = boot_time_now();
  roster_[owner].pid = pid;
  roster_[owner].started_ns = records_[owner].started.count();
  ++count_of(role);
  return pid;
}

void Children::adopt(pid_t pid, const Child& child, BootTime started, bool same_table, bool busy)
{
  auto own = child;
  if (same_table) {
    if (own.owner == no_owner || own.owner >= records_.size()) {
      throw std::runtime_error{fmt::format("the number {} of process {} is not in the table", own.owner, pid)};
    }
    highest_ = std::max(highest_, own.owner);
  } else {
    own.owner = take_number();
    set_state(own.owner, busy ? ProcessState::busy : facts_of(own.role).initial);
  }
  records_[own.owner] = {.child = own, .pid = pid, .started = started, .next_free = no_owner, .alive = true};
  auto& shown = roster_[own.owner];
  shown.pid = pid;
  shown.index = own.index;
  shown.started_ns = started.count();
  ++count_of(own.role);
}

void Children::adopt_orphan(pid_t pid, const Child& child, BootTime started)
{
  adopt(pid, child, started, true, true);
  records_[child.owner].orphan = true;
  ++orphans_;
}

void Children::adopt_table()
{
  for (auto owner = static_cast<Owner>(roster_.size() - 1); owner > highest_; --owner) {
    if (roster_[owner].pid != 0) {
      highest_ = owner;
    }
  }
  for (Owner owner = 1; owner <= highest_; ++owner) {
    if (!records_[owner].alive) {
      roster_[owner].pid = 0;
      set_state(owner, ProcessState::none);
      dead_.push_back(owner); // it may hold slots that have not been collected
    }
  }
}

// Walks as many records as there were ever processes at once, which is few more than there are now.
std::optional<Owner> Children::find(pid_t pid) const
{
  for (Owner owner = 1; owner <= highest_; ++owner) {
    if (records_[owner].alive && records_[owner].pid == pid) {
      return owner;
    }
  }
  return std::nullopt;
}

std::optional<Children::Ended> Children::reap()
{
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) {
      return find_ended_orphan();
    }
    if (const auto owner = find(pid)) {
      return note_ended(*owner, status);
    }
  }
}

Children::Ended Children::note_ended(Owner owner, int status)
{
  auto& record = records_[owner];
  const auto last_state = state(owner);
  const bool crashed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  record.alive = false;
  roster_[owner].pid = 0;
  set_state(owner, ProcessState::none);
  --count_of(record.child.role);
  if (record.orphan) {
    --orphans_;
  }
  if (crashed || record.orphan) {
    dead_.push_back(owner);
  } else {
    give_back(owner);
  }
  return {.pid = record.pid,
          .child = record.child,
          .crashed = crashed,
          .status = status,
          .state = last_state,
          .orphan = record.orphan};
}

bool Children::is_held(Owner owner) const
{
  return segment_.holder_of(owner) == records_[owner].pid;
}

// Asks for each orphan whether its pid exists, but only for a few at a time whether it is still the same process,
// because the kernel walks through all locks for each.
std::optional<Children::Ended> Children::find_ended_orphan()
{
  using namespace std::chrono_literals;
  constexpr auto pause = 100ms;
  constexpr unsigned most_checked = 32;
  const auto now = std::chrono::steady_clock::now();
  if (orphans_ == 0 || now < next_look_) {
    return std::nullopt;
  }
  unsigned checked = 0;
  for (Owner step = 1; step <= highest_; ++step) {
    const Owner owner = 1 + (next_checked_ + step) % highest_;
    const auto& record = records_[owner];
    if (!record.alive || !record.orphan) {
      continue;
    }
    const bool is_there = ::kill(record.pid, 0) == 0;
    if (!is_there || (checked < most_checked && !is_held(owner))) {
      return note_ended(owner, 0); // the next call finds the next one
    }
    if (++checked == most_checked) {
      next_checked_ = owner;
    }
  }
  next_look_ = now + pause;
  return std::nullopt;
}

std::string Children::Ended::manner() const
{
  return WIFEXITED(status) ? fmt::format("status {}", WEXITSTATUS(status)) : fmt::format("signal {}", WTERMSIG(status));
}

void Children::forget_dead()
{
  for (const auto owner : dead_) {
    give_back(owner);
  }
  dead_.clear();
}

std::uint32_t Children::count_idle(std::uint16_t listener) const
{
  std::uint32_t idle = 0;
  for (Owner owner = 1; owner <= highest_; ++owner) {
    const auto& record = records_[owner];
    const auto its_state = state(owner);
    idle += record.alive && record.child.role == Role::proxy && record.child.index == listener &&
            (its_state == ProcessState::idle || its_state == ProcessState::starting);
  }
  return idle;
}

std::uint32_t Children::count_waiting() const
{
  std::uint32_t waiting = 0;
  for (Owner owner = 1; owner <= highest_; ++owner) {
    waiting += records_[owner].alive && state(owner) == ProcessState::waiting;
  }
  return waiting;
}

void Children::signal(Role role, int signal, const std::function<bool(const Child&)>& which) const
{
  for (Owner owner = 1; owner <= highest_; ++owner) {
    const auto& record = records_[owner];
    if (!record.alive || record.child.role != role || !which(record.child)) {
      continue;
    }
    // An orphan knows that it is to end with its connection, and its pid may belong to another process by now.
    if (!record.orphan || (signal == SIGKILL && is_held(owner))) {
      ::kill(record.pid, signal); // may have ended already and be waiting to be reaped
    }
  }
}

void Children::for_each(const std::function<void(const Child&, pid_t)>& visit) const
{
  for (Owner owner = 1; owner <= highest_; ++owner) {
    if (records_[owner].alive) {
      visit(records_[owner].child, records_[owner].pid);
    }
  }
}

void Children::end_all(Role role)
{
  signal(role, SIGTERM, [](const auto&) { return true; });
  while (count(role) > 0) {
    reap();
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
}

ProcessState Children::state(Owner owner) const
{
  return static_cast<ProcessState>(states_[owner].load(std::memory_order_acquire));
}

void Children::set_state(Owner owner, ProcessState state)
{
  states_[owner].store(static_cast<std::uint8_t>(state), std::memory_order_release);
}

} // namespace pepsal
