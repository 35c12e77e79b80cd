#pragma once

#include <csignal>
#include <functional>
#include <stdexcept>

#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal::test {

// A process that performs one operation under single-step.
class SteppedChild
{
public:
  explicit SteppedChild(const std::function<void()>& act)
      : pid_{check("fork", fork())}
  {
    if (pid_ == 0) {
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGTRAP);
      act();
      _exit(0);
    }
    wait_for_it();
  }

  ~SteppedChild()
  {
    if (!ended_) {
      kill_it();
    }
  }
  SteppedChild(const SteppedChild&) = delete;
  SteppedChild& operator=(const SteppedChild&) = delete;

  // Executes one instruction; false when the child has ended.
  bool step()
  {
    check("ptrace PTRACE_SINGLESTEP", ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr));
    wait_for_it();
    return !ended_;
  }

  void kill_it()
  {
    check("kill", kill(pid_, SIGKILL));
    while (!ended_) {
      wait_for_it();
    }
  }

private:
  void wait_for_it()
  {
    int status = 0;
    check("waitpid", waitpid(pid_, &status, 0));
    ended_ = WIFEXITED(status) || WIFSIGNALED(status);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
      throw std::runtime_error{"the stepped child failed"};
    }
    if (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP) {
      throw std::runtime_error{fmt::format("the stepped child got signal {}", WSTOPSIG(status))};
    }
  }

  pid_t pid_;
  bool ended_{};
};

} // namespace pepsal::test
