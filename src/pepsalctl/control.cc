// pepsalctl kill, drain, undrain, reload, restart: what changes the daemon is the manager's to do, which is asked.
// Fails with one line when it refuses or cannot be asked.

#include <fmt/format.h>

#include "control/control_socket.hh"
#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"

namespace pepsal {

void command_daemon(const CommandOptions& line, std::string_view command)
{
  fmt::print("{}\n", ask_manager(line.instance, command));
}

// Each by its ends, so that nobody is hit who has got the same ID since.
void kill(const SharedSegment& segment, const CommandOptions& line)
{
  for (const auto& found : find_connections(segment, line.which)) {
    const auto& connection = found.entry.connection;
    command_daemon(line, fmt::format("kill {} {} {}", found.id(), connection.client, connection.server));
  }
}

} // namespace pepsal
