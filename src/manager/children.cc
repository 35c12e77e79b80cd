// Bookkeeping of the manager's children: forking, reaping, numbering. Forking throws when the system
// has no more processes.

#include "pepsal/manager/children.hh"

#include <cassert>

#include <csignal>
#include <fmt/format.h>
#include <sys/wait.h>

#include "pepsal/util/process.hh"
#include "pepsal/util/system_error.hh"

namespace pepsal {

Children::Children(const SharedSegment& segment)
    : roster_{segment.roster()}
    , states_{segment.process_states()}
    , alive_(roster_.size())
    , listeners_(roster_.size())
{}

pid_t Children::spawn(Role role, std::uint16_t index, const std::function<int(Owner)>& body)
{
  Owner owner = highest_ + 1; // 0 is no_owner
  if (!free_.empty()) {
    owner = free_.top();
  } else if (owner >= roster_.size()) {
    throw SystemError{EAGAIN, "roster of processes"};
  }
  set_state(owner, role == Role::queuer ? ProcessState::queuer : ProcessState::starting);
  pid_t pid = 0;
  try {
    pid = fork_process([&] { return body(owner); });
  } catch (const SystemError&) {
    set_state(owner, ProcessState::none);
    throw;
  }
  if (!free_.empty()) {
    free_.pop();
  } else {
    highest_ = owner;
  }
  children_.emplace(pid, Child{.role = role, .owner = owner, .index = index});
  roster_[owner].pid = pid;
  roster_[owner].started_ns = boot_time_now().count();
  alive_[owner] = true;
  listeners_[owner] = static_cast<std::uint8_t>(index);
  proxies_ += role == Role::proxy ? 1 : 0;
  return pid;
}

std::optional<Children::Ended> Children::reap()
{
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) {
      return std::nullopt;
    }
    const auto found = children_.find(pid);
    if (found == children_.end()) {
      continue;
    }
    const Ended ended{.pid = pid,
                      .child = found->second,
                      .crashed = !WIFEXITED(status) || WEXITSTATUS(status) != 0,
                      .manner = WIFEXITED(status) ? fmt::format("status {}", WEXITSTATUS(status))
                                                  : fmt::format("signal {}", WTERMSIG(status))};
    children_.erase(found);
    const auto owner = ended.child.owner;
    alive_[owner] = false;
    roster_[owner].pid = 0;
    set_state(owner, ProcessState::none);
    proxies_ -= ended.child.role == Role::proxy ? 1 : 0;
    if (ended.crashed) {
      dead_.push_back(owner);
    } else {
      free_.push(owner);
    }
    return ended;
  }
}

void Children::forget_dead()
{
  for (const auto owner : dead_) {
    free_.push(owner);
  }
  dead_.clear();
}

std::uint32_t Children::count_idle(std::uint16_t listener) const
{
  std::uint32_t idle = 0;
  for (Owner owner = 1; owner <= highest_; ++owner) {
    const auto its_state = state(owner);
    idle += (its_state == ProcessState::idle || its_state == ProcessState::starting) && listeners_[owner] == listener;
  }
  return idle;
}

std::uint32_t Children::count(Role role) const
{
  return role == Role::proxy ? proxies_ : static_cast<std::uint32_t>(children_.size()) - proxies_;
}

void Children::signal(Role role, int signal, const std::function<bool(const Child&)>& which) const
{
  for (const auto& [pid, child] : children_) {
    if (child.role == role && which(child)) {
      ::kill(pid, signal); // it may have ended already and waits to be reaped
    }
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
