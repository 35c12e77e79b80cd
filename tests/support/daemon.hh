#pragma once

#include "support/child_process.hh"
#include "support/topology.hh"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pepsal::test {

// How connections reach the server: end to end, or through the proxy in one of its two modes.
enum class Mode
{
  direct,
  tproxy,
  redirect
};

// Where the programs under test and the project's scripts are.
std::string program_path(const std::string& name); // of PEPSAL_BIN_DIR, or else of the test's own folder
std::string
script_path(const std::string& name); // "FOLDER/NAME" of PEPSAL_SCRIPTS_DIR, or else of scripts in the source tree

// Variables that make sanitizers of the programs under test report into the sandbox's work folder.
std::vector<std::string> sanitizer_environment();
// What they have reported there; empty if nothing.
std::string sanitizer_reports(const Topology& topology);

// Runs one of the programs on the box to its end.
Result run_program(const Topology& topology, const std::string& name, std::vector<std::string> arguments,
                   std::vector<std::string> prefix = {});

struct DaemonOptions
{
  std::vector<std::string> arguments{}; // added to the command line
  std::string instance{"default"};
  std::vector<std::string> prefix{}; // a program that runs the daemon, such as prlimit
};

// The daemon in the foreground on the box. Construction waits until it is ready, and throws std::runtime_error with its
// log if it does not get that far.
class Daemon
{
public:
  explicit Daemon(const Topology& topology, DaemonOptions options = {});

  // What it has logged so far.
  std::string log() const { return process_.err(); }
  // Waits for the first line that contains this text; nothing if none comes.
  std::optional<std::string> log_line(const std::string& text, std::chrono::milliseconds limit = patience) const;
  // How many lines contain it.
  std::size_t log_lines(const std::string& text) const;

  std::string control(const std::string& command) const; // pepsalctl
  std::map<std::string, long> counters() const;
  long counter(const std::string& name) const;

  // Processes, by the part of their title after "pepsal: ".
  std::vector<ProcessInfo> processes(const std::string& role = {}) const;

  // Sends SIGTERM and returns its exit status.
  std::optional<int> stop();
  void signal(int number) const { process_.signal(number); }
  ChildProcess& process() { return process_; }

private:
  const Topology* topology_;
  DaemonOptions options_;
  ChildProcess process_;
};

// Steers what the client sends into the daemon, with scripts/steering/pepsal-iptables on the box.
void start_rules(const Topology& topology, Mode mode);

} // namespace pepsal::test
