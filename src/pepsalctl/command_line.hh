#pragma once

#include <optional>
#include <string>

#include "pepsalctl/selection.hh"

namespace pepsal {

enum class Command
{
  list,
  show,
  status,
  kill,
  drain,
  undrain,
  reload,
  restart,
  link,
  top,
  metrics,
  health
};

// The parsed command line.
struct CommandOptions
{
  std::string instance{"default"};
  std::optional<Command> command{}; // none if help or the version was asked for, which is then printed
  Selection selection{};            // of list
  std::string which{};              // of show and kill: an ID, or ADDRESS:PORT of a client
  std::optional<Endpoint> listen{}; // of metrics
  bool json{};
  std::uint32_t grace_seconds{}; // of drain
  std::string interface {};      // of link
  std::string rate{};            // of link: DOWN/UP in Mbit/s
};

// Throws UsageError with one line that names the word and what is allowed.
CommandOptions parse_command_line(int argc, char** argv);

} // namespace pepsal
