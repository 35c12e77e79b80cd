// Shows what a running daemon does, from its shared table, which is mapped read-only, and from the kernel's sockets;
// changes go through the manager's control socket. Fails with one line if the instance is not running, may not be read,
// or has another layout.

#include <cstdio>
#include <cstdlib>
#include <exception>

#include <fmt/core.h>

#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"
#include "util/usage_error.hh"

namespace {

// Returns the exit code.
int run(int argc, char** argv)
{
  using pepsal::Command;
  const auto line = pepsal::parse_command_line(argc, argv);
  if (!line.command) {
    return EXIT_SUCCESS;
  }
  switch (*line.command) {
  case Command::list:
    pepsal::list(pepsal::open_running(line.instance), line);
    break;
  case Command::show:
    pepsal::show(pepsal::open_running(line.instance), line);
    break;
  case Command::status:
    pepsal::show_status(pepsal::open_running(line.instance), line);
    break;
  case Command::kill:
    pepsal::kill(pepsal::open_running(line.instance), line);
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
    break;
  case Command::top:
    pepsal::top(line);
    break;
  case Command::metrics:
    line.listen ? pepsal::serve_metrics(line) : pepsal::show_metrics(pepsal::open_running(line.instance));
    break;
  case Command::health:
    return pepsal::show_health(line);
  }
  return EXIT_SUCCESS;
}

} // namespace

int main(int argc, char** argv)
{
  constexpr int exit_usage = 2;
  try {
    return run(argc, argv);
  } catch (const pepsal::UsageError& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
