// The programs under test, as tests start, watch and stop them on the box. Failures to start are thrown with the
// program's output.

#include "support/daemon.hh"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

namespace pepsal::test {

namespace {

namespace fs = std::filesystem;

constexpr const char* report_prefix = "sanitizer";
constexpr const char* title_prefix = "pepsal: ";

std::vector<std::string> daemon_command(const DaemonOptions& options)
{
  auto command = options.prefix;
  command.push_back(program_path("pepsal"));
  if (options.instance != "default") {
    command.insert(command.end(), {"--instance", options.instance});
  }
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  return command;
}

std::string joined_variable(const char* name, const std::string& settings)
{
  const char* before = std::getenv(name);
  return fmt::format("{}={}{}{}", name, before == nullptr ? "" : before, before == nullptr ? "" : ":", settings);
}

} // namespace

std::string program_path(const std::string& name)
{
  const char* folder = std::getenv("PEPSAL_BIN_DIR");
  return (folder != nullptr ? fs::absolute(folder) : fs::read_symlink("/proc/self/exe").parent_path()) / name;
}

std::string script_path(const std::string& name)
{
  const char* folder = std::getenv("PEPSAL_SCRIPTS_DIR");
  return (folder != nullptr ? fs::absolute(folder) : fs::path{PEPSAL_SOURCE_DIR} / "scripts") / name;
}

std::vector<std::string> sanitizer_environment()
{
  const auto log = fmt::format("log_path={}", Topology::inside(report_prefix));
  return {joined_variable("ASAN_OPTIONS", log), joined_variable("UBSAN_OPTIONS", log + ":print_stacktrace=1"),
          joined_variable("TSAN_OPTIONS", log), joined_variable("LSAN_OPTIONS", log)};
}

std::string sanitizer_reports(const Topology& topology)
{
  std::string reports;
  for (const auto& entry : fs::directory_iterator{topology.outside("")}) {
    const auto name = entry.path().filename().string();
    if (name.starts_with(report_prefix)) {
      reports += topology.read_file(name);
    }
  }
  return reports;
}

Result run_program(const Topology& topology, const std::string& name, std::vector<std::string> arguments,
                   std::vector<std::string> prefix)
{
  auto command = std::move(prefix);
  command.push_back(program_path(name));
  std::ranges::move(arguments, std::back_inserter(command));
  return topology.box().start(std::move(command), {}, sanitizer_environment()).finish();
}

Daemon::Daemon(const Topology& topology, DaemonOptions options)
    : topology_{&topology}
    , options_{std::move(options)}
    , process_{topology.box().start(daemon_command(options_), {}, sanitizer_environment())}
{
  if (!eventually([&] { return log_lines("ready") > 0 || !process_.is_running(); }) || !process_.is_running()) {
    throw std::runtime_error{"pepsal did not get ready; it printed:\n" + process_.out() + log()};
  }
}

std::optional<std::string> Daemon::log_line(const std::string& text, std::chrono::milliseconds limit) const
{
  std::optional<std::string> found;
  eventually(
      [&] {
        std::istringstream lines{log()};
        for (std::string line; !found && std::getline(lines, line);) {
          if (line.find(text) != std::string::npos) {
            found = line;
          }
        }
        return found.has_value();
      },
      limit);
  return found;
}

std::size_t Daemon::log_lines(const std::string& text) const
{
  std::istringstream lines{log()};
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    count += line.find(text) != std::string::npos ? 1 : 0;
  }
  return count;
}

std::string Daemon::control(const std::string& command) const
{
  const auto result = run_program(*topology_, "pepsalctl", {"--instance", options_.instance, command});
  if (result.status != 0) {
    throw std::runtime_error{
        fmt::format("pepsalctl {}: exit {}: {}{}", command, result.status, result.out, result.err)};
  }
  return result.out;
}

std::map<std::string, long> Daemon::counters() const
{
  std::istringstream lines{control("status")};
  std::map<std::string, long> result;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::string name;
    long value = 0;
    if (words >> name >> value) {
      result[name] = value;
    }
  }
  return result;
}

long Daemon::counter(const std::string& name) const
{
  const auto all = counters();
  const auto found = all.find(name);
  if (found == all.end()) {
    throw std::runtime_error{"pepsalctl status shows no " + name};
  }
  return found->second;
}

std::vector<ProcessInfo> Daemon::processes(const std::string& role) const
{
  std::vector<ProcessInfo> result;
  for (const auto& process : topology_->processes()) {
    if (process.title.starts_with(title_prefix + role)) {
      result.push_back(process);
    }
  }
  return result;
}

std::optional<int> Daemon::stop()
{
  if (process_.is_running()) {
    process_.signal(SIGTERM);
  }
  return process_.wait();
}

void start_rules(const Topology& topology, Mode mode)
{
  topology.box().must_run({script_path("steering/pepsal-iptables"), "start", "--intercept", "client0", "--mode",
                           mode == Mode::redirect ? "redirect" : "tproxy"});
}

} // namespace pepsal::test
