// The queuer's program, executed by the manager with: instance, queue, roster number, mark shift, the
// descriptor on which to say "ready" or what is wrong, and where to log. Fails when the queue is taken or
// the shared table is gone.

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "queuer/queuer.hh"
#include "shared/shared_segment.hh"
#include "util/log.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace {

unsigned number(std::string_view text)
{
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw std::invalid_argument{fmt::format("'{}' is not a number", text)};
  }
  return value;
}

// One message, then the manager hears no more.
void report(int fd, std::string_view text)
{
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
  ::close(fd);
}

} // namespace

int main(int argc, char** argv)
{
  constexpr int arguments = 7;
  if (argc != arguments) {
    std::fputs("pepsal-queuer: started by pepsal, not by hand\n", stderr);
    return 2;
  }
  bool ready = false;
  int ready_fd = STDERR_FILENO;
  try {
    const auto queue = static_cast<std::uint16_t>(number(argv[2]));
    const pepsal::Marks marks{.shift = number(argv[4])};
    ready_fd = static_cast<int>(number(argv[5]));
    if (std::string_view{argv[6]} == "syslog") {
      pepsal::log::use_syslog();
    }
    const auto segment = pepsal::SharedSegment::open(argv[1], pepsal::SharedSegment::Access::read_write);
    pepsal::ConnectionTable table{segment};
    const auto owner = static_cast<pepsal::Owner>(number(argv[3]));
    pepsal::prepare_titles(argc, argv, environ);
    pepsal::set_title(fmt::format("pepsal: queuer (queue {})", queue));
    pepsal::run_queuer(marks, table, owner, queue, [&] {
      report(ready_fd, "ready");
      ready = true;
    });
  } catch (const pepsal::SystemError& error) {
    const bool taken = error.code().value() == EPERM || error.code().value() == EBUSY;
    const auto* const mend = taken ? ": another program has this queue, choose another --queue" : "";
    const auto text = fmt::format("{}{}", error.what(), mend);
    ready ? pepsal::log::write(LOG_ERR, text) : report(ready_fd, text);
  } catch (const std::exception& error) {
    ready ? pepsal::log::write(LOG_ERR, error.what()) : report(ready_fd, error.what());
  }
  return EXIT_FAILURE;
}
