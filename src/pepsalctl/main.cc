// Shows a running daemon's counters and connections out of its shared table, which is mapped to read.
// Fails with one line when the instance does not run or has another layout.

#include <cstdio>
#include <cstdlib>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pepsal/table/connection_table.hh"
#include "pepsal/table/shared_segment.hh"

namespace {

using pepsal::ConnectionTable;

const char* name_of(pepsal::SlotState state)
{
  switch (state) {
  case pepsal::SlotState::free:
    return "free";
  case pepsal::SlotState::reserved:
    return "reserved";
  case pepsal::SlotState::pending:
    return "pending";
  case pepsal::SlotState::connecting:
    return "connecting";
  case pepsal::SlotState::open:
    return "open";
  }
  return "unknown";
}

void show_status(const pepsal::SharedSegment& segment)
{
  const auto& header = segment.header();
  const ConnectionTable table{segment};
  fmt::print("manager_pid {}\nslots {}\nmax_connections {}\nentries {}\ndraining {:d}\noverloaded {:d}\n",
             header.manager_pid.load(), table.slot_count(), header.max_connections.load(), table.size(),
             header.draining.load(), header.overloaded.load());
  for (std::size_t i = 0; i < pepsal::counter_names.size(); ++i) {
    fmt::print("{} {}\n", pepsal::counter_names[i], header.counters[i].load());
  }
}

void list_connections(const pepsal::SharedSegment& segment)
{
  const auto roster = segment.roster();
  ConnectionTable{segment}.for_each([&](const ConnectionTable::Entry& entry) {
    const std::chrono::duration<double> age = pepsal::boot_time_now() - entry.since;
    fmt::print("{} client={} server={} pid={} age={:.3f} up={} down={} interface={} mss={} dscp={}\n",
               name_of(entry.state), entry.connection.client.to_string(), entry.connection.server.to_string(),
               entry.owner == pepsal::no_owner ? 0 : roster[entry.owner].pid.load(), age.count(), entry.bytes_up,
               entry.bytes_down, entry.connection.syn.arrival_interface, entry.connection.syn.mss,
               entry.connection.syn.traffic_class >> 2);
  });
}

int run(int argc, char** argv)
{
  std::string instance = "default";
  CLI::App app{"Shows a running PEPsal's counters (status) or its connections (list)", "pepsalctl"};
  app.set_version_flag("-V,--version", "pepsalctl " PEPSAL_VERSION);
  app.add_option("--instance", instance, "Name of the daemon's instance")->capture_default_str();
  auto* status = app.add_subcommand("status", "Print counters, a name and a value a line");
  app.add_subcommand("list", "Print connections, one a line");
  app.require_subcommand(1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  }
  const auto segment = pepsal::SharedSegment::open(instance, pepsal::SharedSegment::Access::read_only);
  if (*status) {
    show_status(segment);
  } else {
    list_connections(segment);
  }
  return EXIT_SUCCESS;
}

} // namespace

int main(int argc, char** argv)
{
  constexpr int exit_usage = 2;
  try {
    return run(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
