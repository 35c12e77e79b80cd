#pragma once

#include <string>

#include "config/config.hh"
#include "util/usage_error.hh"

namespace pepsal {

// What a command line asks for.
struct CommandLine
{
  enum class Task
  {
    run,
    check,       // --check: say what the configuration means and what the system lacks
    print_links, // --print-links: the links and what follows from them, for other programs
    print_rules, // --print-rules: what pepsal-iptables takes from it
    print_text   // help or version
  };

  Task task{Task::run};
  Config config;
  std::string file; // the configuration file that was read; empty if there is none
  std::string text; // for stdout, with print_text
};

// Reads the options and the configuration file they name, or /etc/pepsal/pepsal.conf if it exists. An option overrides
// the file's key. Throws UsageError with one line that names the option, or the file, line and key, its value and what
// is allowed.
CommandLine parse_command_line(int argc, const char* const* argv);

} // namespace pepsal
