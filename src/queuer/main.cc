// The queuer's program, executed by the manager. It reports "ready" or what is wrong through a descriptor passed to it.
// Fails if the queue is taken or the shared table is gone.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <unistd.h>

#include "confine/confinement.hh"
#include "queuer/queuer.hh"
#include "shared/shared_segment.hh"
#include "util/log.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace {

struct Options
{
  std::string instance;
  std::uint16_t queue{};
  pepsal::Owner owner{};
  unsigned mark_shift{};
  int ready_fd{};
  int dialler_fd{-1};
  bool syslog{};
};

Options parse(int argc, char** argv)
{
  Options options;
  CLI::App app{"reads SYNs from a netfilter queue; started by pepsal, not by hand", "pepsal-queuer"};
  app.add_option("--instance", options.instance, "whose table")->required();
  app.add_option("--queue", options.queue, "NFQUEUE number")->required();
  app.add_option("--owner", options.owner, "number in the table's roster")->required();
  app.add_option("--mark-shift", options.mark_shift, "lowest of the four mark bits")->required()->check(CLI::Range(28));
  app.add_option("--ready", options.ready_fd, "descriptor on which to say \"ready\", or what is wrong")->required();
  app.add_option("--dialler", options.dialler_fd, "descriptor by which servers are asked first");
  app.add_flag("--syslog", options.syslog, "log there and not to stderr");
  app.parse(argc, argv);
  return options;
}

// Sends one message; the manager hears nothing after that.
void report(int fd, std::string_view text)
{
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
  ::close(fd);
}

int run(const Options& options, int argc, char** argv)
{
  bool ready = false;
  try {
    if (options.syslog) {
      pepsal::log::use_syslog();
    }
    const pepsal::Marks marks{.shift = options.mark_shift};
    auto segment = pepsal::SharedSegment::open(options.instance, pepsal::SharedSegment::Access::read_write);
    segment.keep_to(pepsal::SharedSegment::Writer::queuer);
    pepsal::ConnectionTable table{segment};
    const pepsal::log::LossCount losses{table.lost_log_lines()};
    pepsal::prepare_titles(argc, argv, environ);
    pepsal::set_title(fmt::format("pepsal: queuer (queue {})", options.queue));
    pepsal::Confinement confinement{pepsal::Role::queuer};
    pepsal::run_queuer(marks, table, options.owner, options.queue, pepsal::FileDescriptor{options.dialler_fd}, [&] {
      confinement.enter(pepsal::Role::queuer);
      report(options.ready_fd, "ready");
      ready = true;
    });
  } catch (const pepsal::SystemError& error) {
    const bool taken = error.code().value() == EPERM || error.code().value() == EBUSY;
    const auto* const advice = taken ? ": another program has this queue, choose another --queue" : "";
    const auto text = fmt::format("{}{}", error.what(), advice);
    ready ? pepsal::log::write(LOG_ERR, text) : report(options.ready_fd, text);
  } catch (const std::exception& error) {
    ready ? pepsal::log::write(LOG_ERR, error.what()) : report(options.ready_fd, error.what());
  }
  return EXIT_FAILURE;
}

} // namespace

int main(int argc, char** argv)
{
  try {
    return run(parse(argc, argv), argc, argv);
  } catch (const CLI::Success& help) {
    std::fputs("pepsal-queuer: reads SYNs from a netfilter queue; started by pepsal, not by hand\n", stdout);
    return EXIT_SUCCESS;
  } catch (const CLI::Error&) {
    std::fputs("pepsal-queuer: started by pepsal, not by hand\n", stderr);
    return 2;
  }
}
