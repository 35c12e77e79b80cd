// Shows what a running daemon does out of its shared table, which is mapped to read, and of the kernel's sockets. Fails
// with one line when the instance does not run, may not be read, or has another layout.

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <fmt/format.h>

#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"
#include "util/usage_error.hh"

namespace {

void run(int argc, char** argv)
{
  using pepsal::Command;
  const auto line = pepsal::parse_command_line(argc, argv);
  if (!line.command) {
    return;
  }
  const auto segment = pepsal::SharedSegment::open(line.instance, pepsal::SharedSegment::Access::read_only);
  const auto manager = segment.header().manager_pid.load();
  if (!segment.has_manager()) {
    throw std::runtime_error{fmt::format("instance '{}' is not running: its manager {} has died and left its table",
                                         line.instance, manager)};
  }
  pepsal::enter_network_of(manager);
  switch (*line.command) {
  case Command::list:
    pepsal::list(segment, line);
    break;
  case Command::show:
    pepsal::show(segment, line);
    break;
  case Command::status:
    pepsal::show_status(segment, line);
    break;
  }
}

} // namespace

int main(int argc, char** argv)
{
  constexpr int exit_usage = 2;
  try {
    run(argc, argv);
    return EXIT_SUCCESS;
  } catch (const pepsal::UsageError& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
