// Fuzzes the messages of the control socket: a command as the manager parses it, and an answer as pepsalctl does. Each
// is understood or refused with a reason; a command that is understood is the same when written out and parsed again.

#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/command.hh"
#include "harness.hh"

using namespace pepsal;
using namespace pepsal::test;

namespace {

void check_command(std::string_view message)
{
  const auto words = control_words(message);
  try {
    const auto command = parse_control_command(words);
    require(parse_control_command(control_words(fmt::format("{}", fmt::join(words, " ")))) == command,
            "a command in its own words is another one");
  } catch (const std::runtime_error& refusal) {
    require(*refusal.what() != '\0', "a command is refused without a reason");
  }
}

void check_answer(std::string_view message)
{
  try {
    require(control_answer(message).size() < message.size(), "an answer is longer than it came");
  } catch (const std::runtime_error&) { // NOLINT(bugprone-empty-catch): the daemon's refusal, in its words
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const auto bytes = exact_copy({data, size});
  const std::string_view message{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  check_command(message);
  check_answer(message);
  return 0;
}
