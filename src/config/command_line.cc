// Combines options and file: CLI11 splits the command line, the settings parse the values of both. Called by main at
// the start and on SIGHUP. Fails with one line on the first wrong option, key or value, or combination of them.

#include "config/command_line.hh"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "config/file.hh"
#include "config/help.hh"
#include "config/settings.hh"
#include "util/version.hh"

namespace pepsal {

namespace {

constexpr auto default_config_file = "/etc/pepsal/pepsal.conf";

// The place where each given setting was found, by its key: "--port" or "FILE:LINE: port".
using Places = std::map<std::string, std::string, std::less<>>;

void apply(const Setting& setting, const std::string& value, const std::string& place, Places& places)
{
  try {
    setting.set(value);
  } catch (const std::invalid_argument& error) {
    throw UsageError{fmt::format("{}: {}", place, error.what())};
  }
  places.insert_or_assign(std::string{setting.key()}, place);
}

// Splits the command line with CLI11. It interprets no values: the settings do.
class OptionParser
{
public:
  explicit OptionParser(const std::vector<Setting>& settings)
      : settings_{settings}
  {
    app_.set_version_flag("-V,--version", std::string{"pepsal "} + version())
        ->description("Print the version and exit");
    app_.set_help_flag("-h,--help", "Print the options and exit");
    file_ = app_.add_option_function<std::string>(
        "--config", [](const std::string& /*value*/) {}, "Configuration file; its keys are the long options");
    file_->type_name("FILE")->default_str(fmt::format("{}, if it exists", default_config_file));
    check_ = add_flag("--check", "Say what the configuration means and what the system lacks, and exit");
    print_links_ = add_flag("--print-links", "Print what follows from each link, for scripts, and exit");
    print_rules_ =
        add_flag("--print-rules", "Print what pepsal-iptables(8) takes from the configuration, for scripts, and exit");
    for (const auto& setting : settings) {
      options_.push_back(add(setting));
    }
    app_.allow_extras();
    app_.formatter(std::make_shared<HelpFormatter>());
  }

  // Whether the program should continue; if not, `line` has the text to print.
  bool parse(int argc, const char* const* argv, CommandLine& line)
  {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      line.task = CommandLine::Task::print_text;
      line.text = app_.help();
      return false;
    } catch (const CLI::CallForVersion& version) {
      line.task = CommandLine::Task::print_text;
      line.text = std::string{version.what()} + "\n";
      return false;
    } catch (const CLI::ParseError& error) {
      throw usage_error_of(error);
    }
    refuse_extras({argv + 1, argv + argc});
    line.task = *check_         ? CommandLine::Task::check
                : *print_links_ ? CommandLine::Task::print_links
                : *print_rules_ ? CommandLine::Task::print_rules
                                : CommandLine::Task::run;
    return true;
  }

  std::optional<std::string> file() const
  {
    return file_->count() > 0 ? std::optional{file_->results().back()} : std::nullopt;
  }

  // Applies the last value of each option, or all values of a repeatable one.
  void apply_all(Places& places) const
  {
    for (std::size_t i = 0; i < settings_.size(); ++i) {
      const auto& values = options_[i]->results();
      const std::size_t first = settings_[i].repeatable || values.empty() ? 0 : values.size() - 1;
      for (const auto& value : std::span{values}.subspan(first)) {
        apply(settings_[i], value, fmt::format("--{}", settings_[i].key()), places);
      }
    }
  }

private:
  CLI::Option* add_flag(const std::string& names, const std::string& help) { return app_.add_flag(names, help); }

  CLI::Option* add(const Setting& setting)
  {
    if (setting.is_flag()) {
      return add_flag(setting.names, setting.help)->group(std::string{setting.group});
    }
    return app_
        .add_option_function<std::string>(
            setting.names, [](const std::string& /*value*/) {}, setting.help)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->type_name(setting.type)
        ->default_str(setting.by_default)
        ->group(std::string{setting.group});
  }

  // Reports the first one in the order typed: CLI11 returns them in another order.
  void refuse_extras(const std::vector<std::string>& words) const
  {
    const auto extras = app_.remaining();
    const auto first = std::find_first_of(words.begin(), words.end(), extras.begin(), extras.end());
    if (first != words.end()) {
      throw UsageError{first->starts_with('-')
                           ? fmt::format("unknown option '{}': pepsal --help lists them", *first)
                           : fmt::format("unexpected '{}': pepsal --help lists the options", *first)};
    }
  }

  CLI::App app_{"PEPsal: a transparent TCP proxy that makes satellite links fast (RFC 3135)", "pepsal"};
  const std::vector<Setting>& settings_;
  std::vector<CLI::Option*> options_; // in the order of settings_
  CLI::Option* file_;
  CLI::Option* check_;
  CLI::Option* print_links_;
  CLI::Option* print_rules_;
};

void apply_file(const std::string& path, const std::vector<Setting>& settings, Places& places)
{
  std::map<std::string, unsigned> lines;
  for (const auto& entry : read_config_file(path)) {
    const auto place = fmt::format("{}:{}: {}", path, entry.line, entry.key);
    const auto setting = std::find_if(settings.begin(), settings.end(),
                                      [&](const Setting& candidate) { return candidate.key() == entry.key; });
    if (setting == settings.end()) {
      throw UsageError{fmt::format("{}:{}: unknown key '{}': the keys are the long options of pepsal --help", path,
                                   entry.line, entry.key)};
    }
    // Two lines about one interface could contradict each other.
    const auto subject =
        setting->repeatable ? entry.key + " " + entry.value.substr(0, entry.value.find_first_of(" \t")) : entry.key;
    if (const auto [earlier, fresh] = lines.emplace(subject, entry.line); !fresh) {
      throw UsageError{fmt::format("{}:{}: '{}' is already in line {}", path, entry.line, subject, earlier->second)};
    }
    apply(*setting, entry.value, place, places);
  }
}

void require_absolute(std::string_view option, const std::string& path)
{
  if (!path.starts_with('/')) {
    throw UsageError{fmt::format("--{}: '{}' is not an absolute path, which -d needs", option, path)};
  }
}

void require_a_link(const Config& config, const std::vector<Setting>& settings, const Places& places)
{
  if (!config.links.empty()) {
    return;
  }
  for (const auto& setting : settings) {
    const auto given = places.find(setting.key());
    if (given != places.end() && setting.key().starts_with("satellite-")) {
      throw UsageError{fmt::format("{}: has no effect without a link (--link, or link = in the file)", given->second)};
    }
  }
  if (config.fastopen) {
    throw UsageError{
        fmt::format("{}: has no effect without a link (--link, or link = in the file)", places.at("fastopen"))};
  }
}

// The kernel also gives up a dial after the user timeout (tcp(7)).
void fit_connect_timeout(Config& config, const Places& places)
{
  const auto shortest = std::min(config.satellite.user_timeout, config.terrestrial.user_timeout);
  if (config.connect_timeout <= shortest) {
    return;
  }
  if (const auto given = places.find("connect-timeout"); given != places.end()) {
    throw UsageError{fmt::format("{}: {} s is longer than the user timeout of {} s, which ends a dial earlier",
                                 given->second, config.connect_timeout.count(), shortest.count())};
  }
  config.connect_timeout = shortest;
}

void settle_peers(Config& config, const Places& places)
{
  if (config.peers.peers.empty()) {
    for (const auto* const key : {"warm-connections", "peer-port", "peer-key"}) {
      if (const auto given = places.find(key); given != places.end()) {
        throw UsageError{fmt::format("{}: has no effect without --peer", given->second)};
      }
    }
    return;
  }
  if (config.links.empty()) {
    throw UsageError{fmt::format("{}: has no effect without a link (--link, or link = in the file), by which peers are "
                                 "reached",
                                 places.at("peer"))};
  }
  try {
    complete_peers(config.peers, config.port);
  } catch (const std::invalid_argument& error) {
    throw UsageError{error.what()};
  }
}

// Settings that depend on each other, and combinations that are not allowed.
void settle(CommandLine& line, const std::vector<Setting>& settings, const Places& places)
{
  auto& config = line.config;
  try {
    require_complete(config.links);
  } catch (const std::invalid_argument& error) {
    throw UsageError{fmt::format("{}: {}", places.at("link"), error.what())};
  }
  require_a_link(config, settings, places);
  fit_connect_timeout(config, places);
  for (auto* const profile : {&config.satellite, &config.terrestrial}) {
    profile->congestion = profile->congestion.empty() ? config.congestion : profile->congestion;
  }
  settle_peers(config, places);
  if (config.pidfile.empty()) {
    config.pidfile = fmt::format("/run/pepsal/{}.pid", config.instance);
  }
  if (config.daemon) {
    require_absolute("pidfile", config.pidfile);
    if (!line.file.empty()) {
      require_absolute("config", line.file);
    }
  }
}

} // namespace

CommandLine parse_command_line(int argc, const char* const* argv)
{
  CommandLine line;
  const auto settings = settings_of(line.config);
  OptionParser options{settings};
  if (!options.parse(argc, argv, line)) {
    return line;
  }
  Places places;
  if (const auto named = options.file(); named || std::filesystem::exists(default_config_file)) {
    line.file = named.value_or(default_config_file);
    apply_file(line.file, settings, places);
  }
  options.apply_all(places);
  settle(line, settings, places);
  return line;
}

} // namespace pepsal
