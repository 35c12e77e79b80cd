// Shows a running daemon's counters and connections out of its shared table, which is mapped to read.
// Fails with one line when the instance does not run, may not be read, or has another layout.

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <net/if.h>

#include "config/config.hh"
#include "shared/connection_table.hh"
#include "shared/shared_segment.hh"
#include "util/usage_error.hh"

namespace {

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

// One line a peer: whether it is up, since when, how many warm connections it has; or why it is down.
void show_peer(const pepsal::PeerStatus& peer)
{
  const bool up = peer.up;
  const std::chrono::duration<double> since = pepsal::boot_time_now() - pepsal::BootTime{peer.since_ns.load()};
  fmt::print("peer {} {} for={:.0f} ready={} target={}{}{}\n", peer.address.address_string(), up ? "up" : "down",
             since.count(), peer.ready.load(), peer.target.load(),
             up ? "" : " reason=", up ? "" : pepsal::describe(peer.problem));
}

void show_status(const pepsal::SharedSegment& segment)
{
  const auto view = segment.view();
  const auto show = [&view](const auto& rows) {
    for (const auto& row : rows) {
      fmt::print("{} {}\n", row.name, view.value(row.id));
    }
  };
  show(pepsal::gauge_rows);
  show(pepsal::counter_rows);
  for (const auto& peer : view.header().peers) {
    if (peer.present) {
      show_peer(peer);
    }
  }
}

// The name, or the number of one that is not there any more.
std::string interface_name(std::uint32_t index)
{
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(index, name.data()) != nullptr ? name.data() : std::to_string(index);
}

void list_connections(const pepsal::SharedSegment& segment)
{
  const auto view = segment.view();
  view.for_each([&](const pepsal::TableEntry& entry) {
    const std::chrono::duration<double> age = pepsal::boot_time_now() - entry.since;
    fmt::print("{} client={} server={} pid={} age={:.3f} up={} down={} interface={} mss={} dscp={}\n",
               name_of(entry.state), entry.connection.client.to_string(), entry.connection.server.to_string(),
               view.process(entry.owner), age.count(), entry.bytes_up, entry.bytes_down,
               interface_name(entry.connection.syn.arrival_interface), entry.connection.syn.mss,
               entry.connection.syn.traffic_class >> 2);
  });
}

enum class Command
{
  status,
  list
};

struct CommandLine
{
  std::string instance{"default"};
  std::optional<Command> command; // none when help or the version was asked for, which are printed then
};

CommandLine parse(int argc, char** argv)
{
  constexpr auto usage = "pepsalctl [--instance NAME] status|list";
  CommandLine line;
  CLI::App app{"Shows a running PEPsal's counters (status) or its connections (list)", "pepsalctl"};
  app.set_version_flag("-V,--version", "pepsalctl " PEPSAL_VERSION);
  app.add_option("--instance", line.instance, "Name of the daemon's instance")
      ->check(pepsal::check_instance_name)
      ->capture_default_str()
      ->type_name("NAME");
  app.fallthrough(); // --instance may stand behind the command; commands made from here on inherit that
  const auto* status = app.add_subcommand("status", "Print counters, a name and a value a line");
  const auto* list = app.add_subcommand("list", "Print connections, one a line");
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    app.exit(success);
    return line;
  } catch (const CLI::ExtrasError&) {
    throw pepsal::UsageError{fmt::format("unexpected '{}': {}", app.remaining(true).front(), usage)};
  } catch (const CLI::ParseError& error) {
    throw pepsal::UsageError{error.what()};
  }
  if (!*status && !*list) {
    throw pepsal::UsageError{fmt::format("no command: {}", usage)};
  }
  line.command = *status ? Command::status : Command::list;
  return line;
}

void run(int argc, char** argv)
{
  const auto line = parse(argc, argv);
  if (!line.command) {
    return;
  }
  const auto segment = pepsal::SharedSegment::open(line.instance, pepsal::SharedSegment::Access::read_only);
  if (!segment.has_manager()) {
    throw std::runtime_error{fmt::format("instance '{}' is not running: its manager {} has died and left its table",
                                         line.instance, segment.header().manager_pid.load())};
  }
  switch (*line.command) {
  case Command::status:
    show_status(segment);
    break;
  case Command::list:
    list_connections(segment);
    break;
  }
}

} // namespace

int main(int argc, char** argv)
{
  constexpr int exit_usage = 2;
  try {
    run(argc, argv);
    return EXIT_SUCCESS;
  } catch (const pepsal::UsageError& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
