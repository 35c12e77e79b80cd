// pepsalctl kill, drain, undrain, reload, restart, link: changes to the daemon are made by the manager on request.
// Fails with one line if it refuses or cannot be asked.

#include <cstdio>
#include <exception>
#include <filesystem>

#include <fmt/core.h>
#include <unistd.h>

#include "control/control_socket.hh"
#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"
#include "pepsalctl/reshape.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr auto satlink = "pepsal-satlink";

} // namespace

void command_daemon(const CommandOptions& line, std::string_view command)
{
  fmt::print("{}\n", ask_manager(line.instance, command));
}

void tell_rate(const CommandOptions& line)
{
  command_daemon(line, fmt::format("link {} {}", line.interface, line.rate));
  std::fflush(stdout);
  try {
    reshape(line.interface, line.rate);
  } catch (const std::exception&) { // pepsal-satlink will fail the same way and report it
  }
  const auto beside = std::filesystem::path{own_path()}.replace_filename(satlink).string();
  const auto program = ::access(beside.c_str(), X_OK) == 0 ? beside : std::string{satlink}; // otherwise found in PATH
  ::execlp(program.c_str(), satlink, "change", "--interface", line.interface.c_str(), "--rate", line.rate.c_str(),
           nullptr);
  throw SystemError{errno, fmt::format("exec {}", program)};
}

// Each is identified by its ends, so that a connection that has got the same ID since is not affected.
void kill(const SharedSegment& segment, const CommandOptions& line)
{
  for (const auto& found : find_connections(segment, line.which)) {
    const auto& connection = found.entry.connection;
    command_daemon(line, fmt::format("kill {} {} {}", found.id(), connection.client, connection.server));
  }
}

} // namespace pepsal
