#pragma once

#include "pepsalctl/command_line.hh"
#include "shared/shared_segment.hh"

// The commands of pepsalctl, one function and one file each. Each prints to stdout. They throw SystemError if the
// kernel does not report its sockets, and std::runtime_error for what does not exist; each is one line.
namespace pepsal {

// What is shown of a connection in place of its byte counts.
struct RateTexts
{
  std::string up;
  std::string down;
};

// The table of `list`, headings first; `leg` as in Selection. With `rates`, one for each connection, the table of
// `top`.
std::vector<std::string> list_lines(const std::vector<ShownConnection>& connections, std::optional<LegName> leg,
                                    const std::vector<RateTexts>& rates = {});

void list(const SharedSegment& segment, const CommandOptions& line);
// The connection with this ID, or those of this client, ADDRESS:PORT. Throws UsageError if it is neither,
// std::runtime_error if there is none.
std::vector<ShownConnection> find_connections(const SharedSegment& segment, const std::string& which);

void show(const SharedSegment& segment, const CommandOptions& line);
// Sends `command` to the manager and prints its answer. Throws as ask_manager() does.
void command_daemon(const CommandOptions& line, std::string_view command);
// Tells the manager the link's rate, and then executes pepsal-satlink, which sets up the interface. Throws SystemError
// if there is no such program.
[[noreturn]] void tell_rate(const CommandOptions& line);
void kill(const SharedSegment& segment, const CommandOptions& line);
void show_status(const SharedSegment& segment, const CommandOptions& line);
void top(const CommandOptions& line); // until q
void show_metrics(const SharedSegment& segment);
void serve_metrics(const CommandOptions& line); // until SIGTERM or SIGINT; the daemon may be started later
// Returns the exit code. Opens the table itself, because its absence is an answer.
int show_health(const CommandOptions& line);

} // namespace pepsal
