// Composes the daemon: reads the options, goes to the background if told to, runs the manager. Exits with 2 for usage
// errors and 1 if the start fails, each with one line on stderr.

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include <malloc.h>
#include <unistd.h>

#include "config/command_line.hh"
#include "config/report.hh"
#include "config/system.hh"
#include "manager/manager.hh"
#include "peer/peer_listener.hh"
#include "util/daemon.hh"
#include "util/huge_text.hh"
#include "util/log.hh"
#include "util/notify.hh"
#include "util/process.hh"
#include "util/usage_error.hh"

namespace {

using Task = pepsal::CommandLine::Task;

constexpr int exit_usage = 2;

pepsal::Config read_configuration(const std::vector<const char*>& arguments)
{
  const auto command = pepsal::parse_command_line(static_cast<int>(arguments.size()), arguments.data());
  pepsal::check_against_system(command.config);
  return command.config;
}

// Everything that the system lacks, including what would prevent a start.
std::vector<pepsal::Lack> find_all_lacks(const pepsal::Config& config)
{
  auto lacks = pepsal::find_lacks(config);
  try {
    pepsal::check_peers_are_reached(config);
  } catch (const std::runtime_error& error) {
    lacks.push_back({.prevents_start = true, .text = error.what()});
  }
  return lacks;
}

int check(const pepsal::CommandLine& command)
{
  std::printf("configuration: %s\n", command.file.empty() ? "no file, options only" : command.file.c_str());
  std::fputs(pepsal::describe(command.config).c_str(), stdout);
  const auto lacks = find_all_lacks(command.config);
  for (const auto& lack : lacks) {
    std::printf("lacking%s: %s\n", lack.prevents_start ? ", which prevents a start" : "", lack.text.c_str());
  }
  return lacks.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
}

// Prints what was asked for when the program does not become the daemon.
int answer(const pepsal::CommandLine& command)
{
  switch (command.task) {
  case Task::check:
    return check(command);
  case Task::print_links:
    std::fputs(pepsal::links_for_programs(command.config).c_str(), stdout);
    return EXIT_SUCCESS;
  case Task::print_rules:
    std::fputs(pepsal::rules_for_programs(command.config).c_str(), stdout);
    return EXIT_SUCCESS;
  case Task::print_text:
  case Task::run:
    std::fputs(command.text.c_str(), stdout);
    break;
  }
  return EXIT_SUCCESS;
}

int serve(const pepsal::Config& config, const pepsal::Program& program, std::optional<pepsal::Handover> before,
          const std::function<void()>& ready)
{
  try {
    return pepsal::run_manager({.config = config,
                                .read_configuration = [&program] { return read_configuration(program.arguments); },
                                .on_ready = ready,
                                .program = program,
                                .before = std::move(before)});
  } catch (const std::exception& error) {
    if (config.daemon) {
      pepsal::log::error("{}", error.what());
    }
    throw;
  }
}

} // namespace

int main(int argc, char** argv)
{
  ::mallopt(M_ARENA_MAX, 1); // an arena per thread is 128 MB of address space, created and dropped for each connection
  pepsal::move_text_to_huge_pages();
  pepsal::prepare_titles(argc, argv, environ);
  const pepsal::Program program{.path = pepsal::own_path(), .arguments = {argv, argv + argc}};
  try {
    const auto command = pepsal::parse_command_line(argc, argv);
    if (command.task != Task::run) {
      return answer(command);
    }
    const auto& config = command.config;
    pepsal::check_against_system(config);
    pepsal::log::configure(config.verbose);
    auto before = pepsal::Handover::receive();
    // The journal takes each line's priority from syslog's socket.
    if ((before && config.daemon) || (!config.daemon && pepsal::stderr_is_journal())) {
      pepsal::log::use_syslog();
    }
    if (before || !config.daemon) {
      return serve(config, program, std::move(before), [] {});
    }
    return pepsal::run_in_background([&](const auto& ready) {
      pepsal::log::use_syslog();
      return serve(config, program, std::nullopt, ready);
    });
  } catch (const pepsal::UsageError& error) {
    std::fprintf(stderr, "pepsal: %s\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pepsal: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
