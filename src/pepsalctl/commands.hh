#pragma once

#include "pepsalctl/command_line.hh"
#include "shared/shared_segment.hh"

// What pepsalctl does, a function and a file a command. Each prints to stdout. They throw SystemError when the kernel
// does not tell of its sockets, and std::runtime_error for what is not there; each is one line.
namespace pepsal {

// What is shown of a connection in place of the bytes that it has moved.
struct RateTexts
{
  std::string up;
  std::string down;
};

// The table of `list`, headings first; `leg` as in Selection. With `rates`, one for each connection, it is that of
// `top`.
std::vector<std::string> list_lines(const std::vector<ShownConnection>& connections, std::optional<LegName> leg,
                                    const std::vector<RateTexts>& rates = {});

void list(const SharedSegment& segment, const CommandOptions& line);
// Those with this ID, or of this client, ADDRESS:PORT. Throws UsageError for what is neither, std::runtime_error when
// there is none.
std::vector<ShownConnection> find_connections(const SharedSegment& segment, const std::string& which);

void show(const SharedSegment& segment, const CommandOptions& line);
// Asks the manager to do `command`, and prints what it answers. Throws as ask_manager() does.
void command_daemon(const CommandOptions& line, std::string_view command);
// Tells the manager the link's rate, and becomes pepsal-satlink, which tells the interface. Throws SystemError when
// there is no such program.
[[noreturn]] void tell_rate(const CommandOptions& line);
void kill(const SharedSegment& segment, const CommandOptions& line);
void show_status(const SharedSegment& segment, const CommandOptions& line);
void top(const CommandOptions& line); // until q
void show_metrics(const SharedSegment& segment);
void serve_metrics(const CommandOptions& line); // until SIGTERM or SIGINT; the daemon may come later
// Returns the exit code. Opens the table itself, as its absence is an answer.
int show_health(const CommandOptions& line);

} // namespace pepsal
