// Composes the satellite link emulator: reads the options, creates the link, runs it, prints what it carried. Exits
// with 2 for usage errors and 1 if the environment refuses, each with one line on stderr.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <unistd.h>

#include "satsim/emulator.hh"
#include "satsim/options.hh"
#include "util/system_error.hh"
#include "util/usage_error.hh"

namespace {

constexpr int exit_usage = 2;

void print(const std::string& text)
{
  if (std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) == EOF) {
    throw pepsal::SystemError{errno, "write to standard output"};
  }
}

int fail(int status, const std::exception& error)
{
  static_cast<void>(std::fprintf(stderr, "satsim: %s\n", error.what()));
  return status;
}

void announce(const pepsal::satsim::Options& options)
{
  print("satsim ready\n");
  if (options.ready_descriptor) {
    pepsal::check("write to --ready-fd", ::write(*options.ready_descriptor, "\n", 1));
    ::close(*options.ready_descriptor);
  }
}

int run(int argc, char** argv)
{
  const auto command = pepsal::satsim::parse_command_line(argc, argv);
  if (!command.options) {
    print(command.text);
    return EXIT_SUCCESS;
  }
  if (command.options->check_only) {
    return EXIT_SUCCESS;
  }
  pepsal::satsim::Emulator emulator{*command.options};
  emulator.run([&] { announce(*command.options); });
  return EXIT_SUCCESS;
}

} // namespace

int main(int argc, char** argv)
{
  try {
    return run(argc, argv);
  } catch (const pepsal::UsageError& error) {
    return fail(exit_usage, error);
  } catch (const std::exception& error) {
    return fail(EXIT_FAILURE, error);
  }
}
