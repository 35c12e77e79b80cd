// Shows what a running daemon does out of its shared table, which is mapped to read, and of the kernel's sockets; what
// changes it goes through the manager's control socket. Fails
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
  case Command::kill:
    pepsal::kill(segment, line);
    break;
  case Command::drain:
    pepsal::command_daemon(line, fmt::format("drain {}", line.grace_seconds));
    break;
  case Command::undrain:
    pepsal::command_daemon(line, "undrain");
    break;
  case Command::reload:
    pepsal::command_daemon(line, "reload");
    break;
  case Command::restart:
    pepsal::command_daemon(line, "restart");
    break;
  case Command::link:
    pepsal::tell_rate(line);
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
