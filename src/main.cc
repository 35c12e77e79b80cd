// Composes the daemon: reads the options, goes to the background if told to, runs the manager. Usage
// errors exit with 2, a start that fails with 1, each with one line on stderr.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <malloc.h>
#include <unistd.h>

#include "config/config.hh"
#include "manager/manager.hh"
#include "util/daemon.hh"
#include "util/huge_text.hh"
#include "util/log.hh"
#include "util/process.hh"

namespace {

constexpr int exit_usage = 2;

pepsal::Config read_configuration(const std::vector<const char*>& arguments)
{
  const auto command = pepsal::parse_command_line(static_cast<int>(arguments.size()), arguments.data());
  pepsal::check_against_system(*command.config);
  return *command.config;
}

int serve(const pepsal::Config& config, const std::vector<const char*>& arguments, const std::function<void()>& ready)
{
  try {
    return pepsal::run_manager(
        config, [&arguments] { return read_configuration(arguments); }, ready);
  } catch (const std::exception& error) {
    if (config.daemon) {
      pepsal::log::error("{}", error.what());
    }
    std::fprintf(stderr, "pepsal: %s\n", error.what());
    return EXIT_FAILURE;
  }
}

} // namespace

int main(int argc, char** argv)
{
  ::mallopt(M_ARENA_MAX, 1); // a thread's own arena is 128 MB of address space, made and dropped for each connection
  pepsal::move_text_to_huge_pages();
  pepsal::prepare_titles(argc, argv, environ);
  const std::vector<const char*> arguments{argv, argv + argc};
  try {
    const auto command = pepsal::parse_command_line(argc, argv);
    if (!command.config) {
      std::fputs(command.text.c_str(), stdout);
      return EXIT_SUCCESS;
    }
    const auto config = read_configuration(arguments);
    pepsal::log::configure(config.verbose);
    if (!config.daemon) {
      return serve(config, arguments, [] {});
    }
    pepsal::log::use_syslog();
    return pepsal::run_in_background([&](const auto& ready) { return serve(config, arguments, ready); });
  } catch (const pepsal::UsageError& error) {
    std::fprintf(stderr, "pepsal: %s\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pepsal: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
