#pragma once

#include "support/eventually.hh"
#include "support/sandbox.hh"

#include "util/file_descriptor.hh"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace pepsal::test {

// A program to run, and the namespaces to run it in.
struct Command
{
  std::vector<std::string> arguments;     // the first is the program, found in PATH
  std::string input{};                    // its standard input
  std::vector<std::string> environment{}; // NAME=VALUE, added to the test's own
  const NetworkNamespace* network{};
  const Sandbox* sandbox{};

  std::string to_string() const;
};

struct Result
{
  int status; // exit code; 128 + signal when a signal ended it
  std::string out;
  std::string err;
};

// A running program. Its output goes to memory files, so that no pipe fills and nothing needs a reader. Destroying it
// kills it.
class ChildProcess
{
public:
  // Must be called from a thread that outlives it: the program is killed when that thread ends.
  explicit ChildProcess(const Command& command);
  ~ChildProcess();

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; } // as the test process sees it
  std::string out() const;
  std::string err() const;

  bool is_running();
  // The exit status as in Result; nothing if it is still running after `limit`.
  std::optional<int> wait(std::chrono::milliseconds limit = patience);
  void signal(int number) const;

  // Waits for the end; throws std::runtime_error with its whole output if it takes longer.
  Result finish(std::chrono::milliseconds limit = patience);

private:
  std::string name_;
  pid_t pid_{-1};
  FileDescriptor handle_; // pidfd_open(2)
  FileDescriptor out_;
  FileDescriptor err_;
  std::optional<int> status_;
};

} // namespace pepsal::test
