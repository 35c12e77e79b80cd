#pragma once

#include <optional>
#include <string>

#include "satsim/profile.hh"
#include "satsim/tun_device.hh"

namespace pepsal::satsim {

// The options of the command line. The A end is the terminal's, the B end the gateway's: down is from B to A.
struct Options
{
  TunDevice::Settings a{};
  TunDevice::Settings b{};
  Profile down{};
  Profile up{};
  std::optional<int> ready_descriptor{}; // receives one newline once packets can pass
  std::string queue_log{};               // path of a CSV file; empty for none
  Time queue_log_interval{};
  bool realtime{true};    // ask for SCHED_FIFO
  bool check_only{false}; // end after the options have been read
};

struct CommandLine
{
  std::optional<Options> options{}; // nothing if only `text` was asked for
  std::string text{};               // help or version
};

// Throws UsageError with one line.
CommandLine parse_command_line(int argc, const char* const* argv);

} // namespace pepsal::satsim
