// The command line of pepsalctl. Fails with UsageError; help and version are printed here.

#include "pepsalctl/command_line.hh"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/config.hh"
#include "config/help.hh"
#include "link/link.hh"
#include "pepsalctl/parse.hh"
#include "util/usage_error.hh"
#include "util/version.hh"

namespace pepsal {

namespace {

struct CommandName
{
  const char* name;
  Command command;
  const char* help;
  bool has_json;
};

constexpr std::array commands{
    CommandName{"list", Command::list, "Connections, one a line", true},
    CommandName{"show", Command::show, "All that is known about a connection", true},
    CommandName{"status", Command::status, "State, processes, peers and counters", true},
    CommandName{"kill", Command::kill, "Reset a connection at both ends", false},
    CommandName{"drain", Command::drain, "Take no new connections, and exit when the existing ones have ended", false},
    CommandName{"undrain", Command::undrain, "Cancel a drain", false},
    CommandName{"reload", Command::reload, "Read the configuration again, for new connections", false},
    CommandName{"restart", Command::restart, "Execute the program again, without losing a connection", false},
    CommandName{"link", Command::link, "Set a new rate for a link", false},
    CommandName{"top", Command::top, "Connections and their rates, refreshed every second", false},
    CommandName{"metrics", Command::metrics, "Everything counted and measured, for Prometheus", false},
    CommandName{"health", Command::health,
                "Whether new connections are accelerated: exits 0 if so, 1 if not, 2 if draining", false},
};

std::string usage()
{
  std::vector<std::string_view> names;
  names.reserve(commands.size());
  for (const auto& row : commands) {
    names.emplace_back(row.name);
  }
  return fmt::format("pepsalctl [--instance NAME] {} [OPTION...]", fmt::join(names, "|"));
}

[[noreturn]] void refuse(std::string_view option, std::string_view value, std::string_view allowed)
{
  throw UsageError{fmt::format("{}: '{}' is not {}", option, value, allowed)};
}

void add_prefix(CLI::App& app, const std::string& name, std::optional<Prefix>& prefix, const std::string& help)
{
  app.add_option_function<std::string>(
         name,
         [name, &prefix](const std::string& text) {
           prefix = Prefix::parse(text);
           if (!prefix) {
             refuse(name, text, "an address or a prefix such as 10.1.0.0/16");
           }
         },
         help)
      ->type_name("PREFIX");
}

// An option whose value is one of `words`; `set` gets the index of the word.
template<typename Set>
void add_word(CLI::App& app, const std::string& name, const std::vector<std::string_view>& words, const Set& set,
              const std::string& help)
{
  app.add_option_function<std::string>(
         name,
         [name, words, set](const std::string& text) {
           const auto found = std::find(words.begin(), words.end(), text);
           if (found == words.end()) {
             refuse(name, text, fmt::format("one of {}", fmt::join(words, ", ")));
           }
           set(static_cast<std::size_t>(found - words.begin()));
         },
         help)
      ->type_name(fmt::format("{}", fmt::join(words, "|")));
}

void add_port(CLI::App& app, std::optional<std::uint16_t>& port)
{
  app.add_option_function<std::string>(
         "--port",
         [&port](const std::string& text) {
           std::uint16_t number = 0;
           const auto* const end = text.data() + text.size();
           const auto read = std::from_chars(text.data(), end, number);
           if (read.ec != std::errc{} || read.ptr != end || number == 0) {
             refuse("--port", text, "a port, 1 to 65535");
           }
           port = number;
         },
         "Only connections to this server port")
      ->type_name("PORT");
}

void add_grace(CLI::App& app, std::uint32_t& seconds)
{
  app.add_option_function<std::string>(
         "--grace",
         [&seconds](const std::string& text) {
           constexpr std::uint32_t a_day = 86400;
           const auto* const end = text.data() + text.size();
           const auto read = std::from_chars(text.data(), end, seconds);
           if (read.ec != std::errc{} || read.ptr != end || seconds > a_day) {
             refuse("--grace", text, "a number of seconds, 0 to 86400");
           }
         },
         "How long it keeps serving while health already says that it drains")
      ->type_name("SECONDS");
}

void add_selection(CLI::App& app, Selection& selection)
{
  constexpr std::array states{SlotState::pending, SlotState::connecting, SlotState::open};
  add_prefix(app, "--client", selection.client, "Only connections of clients with an address in this prefix");
  add_prefix(app, "--server", selection.server, "Only connections to servers with an address in this prefix");
  add_prefix(app, "--peer", selection.peer, "Only warm connections to or from a box with an address in this prefix");
  add_port(app, selection.port);
  add_word(
      app, "--state", {"pending", "connecting", "open"},
      [states, &selection](std::size_t index) { selection.state = states.at(index); },
      "Only connections in this state");
  add_word(
      app, "--leg", {"client", "server"},
      [&selection](std::size_t index) { selection.leg = static_cast<LegName>(index); },
      "RTT, RETR and QUEUED of this leg only, and only connections that have it");
  add_word(
      app, "--sort", {column_names.begin(), column_names.end()},
      [&selection](std::size_t index) { selection.sort = static_cast<Column>(index); }, "Column to sort by");
}

// A port alone means loopback: figures about clients are private unless the administrator decides otherwise.
void add_listen(CLI::App& app, std::optional<Endpoint>& listen)
{
  app.add_option_function<std::string>(
         "--listen",
         [&listen](const std::string& text) {
           listen = endpoint_in(text.find(':') == std::string::npos ? "127.0.0.1:" + text : text);
           if (!listen || listen->port == 0) {
             refuse("--listen", text, "a port, or ADDRESS:PORT such as 127.0.0.1:9427 or [::1]:9427");
           }
         },
         "Serve /metrics and /health there over HTTP, on loopback if only a port is given")
      ->type_name("[ADDRESS:]PORT");
}

void add_rate(CLI::App& app, std::string& rate)
{
  app.add_option_function<std::string>(
         "--rate",
         [&rate](const std::string& text) {
           if (text.find_first_of(" \t") != std::string::npos) {
             refuse("--rate", text, "DOWN/UP in Mbit/s, such as 30/10");
           }
           try {
             std::vector<Link> links;
             add_link(links, "any rate=" + text);
           } catch (const std::invalid_argument& error) {
             throw UsageError{fmt::format("--rate: {}", error.what())};
           }
           rate = text;
         },
         "Its rates in Mbit/s, towards the users and from them")
      ->type_name("DOWN/UP")
      ->required();
}

void add_commands(CLI::App& app, CommandOptions& line)
{
  for (const auto& [name, command, help, has_json] : commands) {
    auto* const added = app.add_subcommand(name, help);
    added->callback([&line, chosen = command] { line.command = chosen; });
    if (has_json) {
      added->add_flag("--json", line.json, "Machine-readable output, without rounding");
    }
  }
  for (const auto* name : {"list", "top"}) {
    add_selection(*app.get_subcommand(name), line.selection);
  }
  add_listen(*app.get_subcommand("metrics"), line.listen);
  for (const auto* name : {"show", "kill"}) {
    app.get_subcommand(name)
        ->add_option("connection", line.which, "Its ID, as list shows it, or its client, ADDRESS:PORT")
        ->type_name("ID|CLIENT")
        ->required();
  }
  auto* const link = app.get_subcommand("link");
  link->add_option("interface", line.interface, "The interface of the link")->type_name("INTERFACE")->required();
  add_rate(*link, line.rate);
  add_grace(*app.get_subcommand("drain"), line.grace_seconds);
}

// "show needs ID|CLIENT: its ID, as list shows it, or its client, ADDRESS:PORT".
[[noreturn]] void refuse_without(const CLI::App& command)
{
  for (const auto* option : command.get_options()) {
    if (option->get_required() && option->count() == 0) {
      auto help = option->get_description();
      help.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(help.front())));
      throw UsageError{fmt::format("{} needs {}{}: {}", command.get_name(),
                                   option->get_positional() ? "" : option->get_name() + " ", option->get_type_name(),
                                   help)};
    }
  }
  throw UsageError{usage()};
}

[[noreturn]] void refuse_extra(const CLI::App& app)
{
  const auto commands_given = app.get_subcommands();
  throw UsageError{fmt::format(
      "unexpected '{}': {}", app.remaining(true).front(),
      commands_given.empty() ? usage() : fmt::format("see pepsalctl {} --help", commands_given.front()->get_name()))};
}

} // namespace

CommandOptions parse_command_line(int argc, char** argv)
{
  CommandOptions line;
  CLI::App app{"Shows what a running PEPsal does, and controls it", "pepsalctl"};
  app.set_version_flag("-V,--version", std::string{"pepsalctl "} + version())
      ->description("Print the version and exit");
  app.set_help_flag("-h,--help", "Print the options and exit");
  app.formatter(std::make_shared<HelpFormatter>()); // commands added from here on inherit both
  app.add_option("--instance", line.instance, "Name of the daemon's instance")
      ->check(check_instance_name)
      ->capture_default_str()
      ->type_name("NAME");
  app.fallthrough(); // allows --instance after the command; commands added from here on inherit that
  add_commands(app, line);
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    app.exit(success);
    return {};
  } catch (const CLI::ExtrasError&) {
    refuse_extra(app);
  } catch (const CLI::RequiredError&) {
    refuse_without(app.get_subcommands().empty() ? app : *app.get_subcommands().front());
  } catch (const CLI::ParseError& error) {
    throw usage_error_of(error);
  }
  if (!line.command) {
    throw UsageError{fmt::format("no command: {}", usage())};
  }
  return line;
}

} // namespace pepsal
