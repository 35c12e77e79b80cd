// Options and the configuration file, both read by CLI11: every long option is a key of the file too.
// Called by main before anything is acquired, and by the manager on SIGHUP. Fails on the first wrong
// option, key or value with one line about it.

#include "config/config.hh"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>

#include "util/endpoint.hh"

namespace pepsal {

namespace {

constexpr auto default_config_file = "/etc/pepsal/pepsal.conf";

void fail_unless(bool condition, const std::string& message)
{
  if (!condition) {
    throw CLI::ValidationError{message};
  }
}

std::uint16_t parse_queue_number(const std::string& text, const std::string& whole)
{
  unsigned value = 0;
  fail_unless(CLI::detail::lexical_cast(text, value) && value <= 65535 &&
                  text.find_first_not_of("0123456789") == std::string::npos,
              fmt::format("--queue: '{}' is not N or N:M with numbers from 0 to 65535", whole));
  return static_cast<std::uint16_t>(value);
}

void parse_queues(const std::string& text, Config& config)
{
  const auto colon = text.find(':');
  config.first_queue = parse_queue_number(text.substr(0, colon), text);
  config.last_queue =
      colon == std::string::npos ? config.first_queue : parse_queue_number(text.substr(colon + 1), text);
  fail_unless(config.first_queue <= config.last_queue && config.last_queue - config.first_queue < 64,
              fmt::format("--queue: '{}' is not a range of at most 64 queues, lowest first", text));
}

double parse_rate(const std::string& text, const std::string& whole)
{
  constexpr double least_mbit = 0.01;
  constexpr double most_mbit = 100'000;
  double value = 0;
  fail_unless(CLI::detail::lexical_cast(text, value) && value >= least_mbit && value <= most_mbit,
              fmt::format("--satellite-rate: '{}' is not IN or IN/OUT with numbers from {} to {}", whole, least_mbit,
                          most_mbit));
  return value;
}

void parse_rates(const std::string& text, Config& config)
{
  const auto slash = text.find('/');
  config.satellite_rate_in_mbit = parse_rate(text.substr(0, slash), text);
  config.satellite_rate_out_mbit =
      slash == std::string::npos ? config.satellite_rate_in_mbit : parse_rate(text.substr(slash + 1), text);
}

// CLI11 reads a number of seconds into std::chrono::seconds only by way of a plain integer.
CLI::Option* add_seconds(CLI::App& app, const std::string& names, std::chrono::seconds& target, const std::string& help,
                         int lowest, int highest)
{
  return app
      .add_option_function<int>(
          names, [&target](int value) { target = std::chrono::seconds{value}; }, help)
      ->default_str(std::to_string(target.count()))
      ->check(CLI::Range(lowest, highest))
      ->type_name("SECONDS");
}

void add_service_options(CLI::App& app, Config& config)
{
  app.add_flag("-d,--daemon", config.daemon, "Run in the background; return once the service is ready");
  app.add_flag("-v,--verbose", config.verbose, "Log debug messages too");
  app.add_option("-p,--port", config.port, "Listening TCP port")->check(CLI::Range(1, 65535))->capture_default_str();
  app.add_option("-a,--address", config.address, "Listening address (default: all, IPv4 and IPv6)")
      ->check([](const std::string& text) {
        return Endpoint::parse(text, 0) ? std::string{} : fmt::format("'{}' is not an IPv4 or IPv6 address", text);
      })
      ->type_name("ADDRESS");
  app.add_option_function<std::string>(
         "-q,--queue", [&config](const std::string& text) { parse_queues(text, config); }, "NFQUEUE number or range")
      ->default_str("0")
      ->type_name("N[:M]");
  app.add_option("--mark-shift", config.marks.shift, "Lowest of the four mark bits used")
      ->check(CLI::Range(0, 28))
      ->capture_default_str();
  app.add_option("--instance", config.instance, "Name of the shared table and files")
      ->check(check_instance_name)
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--pidfile", config.pidfile, "Pid file (default: /run/pepsal/INSTANCE.pid)")->type_name("FILE");
  app.add_option("--user", config.user, "User to become")->type_name("NAME");
}

void add_capacity_options(CLI::App& app, Config& config)
{
  app.add_option("-c,--max-connections", config.max_connections, "Concurrent connections; past it new ones bypass")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  add_seconds(app, "-t,--pending-lifetime", config.pending_lifetime, "How long a pending entry lives", 1, 3600);
  add_seconds(app, "-g,--gc-interval", config.gc_interval, "Time between collections of stale entries", 1, 3600);
  app.add_option("--spare-proxies", config.spare_proxies, "Idle proxies kept ready for each listener")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--proxy-reuse", config.proxy_reuse, "Connections a proxy serves before it ends")
      ->check(CLI::Range(1, 1000000000))
      ->capture_default_str();
  add_seconds(app, "--connect-timeout", config.connect_timeout, "Limit on a dial", 1, 600);
  add_seconds(app, "--drain-timeout", config.drain_timeout, "Limit on ending after SIGTERM", 0, 86400);
}

void add_profile_options(CLI::App& app, const std::string& leg, LegProfile& profile)
{
  const auto names = [&leg](const char* option) { return fmt::format("--{}-{}", leg, option); };
  const auto help = [&leg](const char* text) { return fmt::format("{} of the {} leg", text, leg); };
  app.add_option(names("congestion"), profile.congestion, help("Congestion control"))->type_name("NAME");
  app.add_option(names("pacing"), profile.pacing_mbit, help("Limit on the sending rate of each connection"))
      ->check(CLI::Range(1, 30000))
      ->type_name("MBIT");
  app.add_option(names("notsent-lowat"), profile.notsent_lowat_bytes, help("Limit on unsent bytes in the kernel"))
      ->check(CLI::Range(4096, 1 << 30))
      ->type_name("BYTES");
  add_seconds(app, names("user-timeout"), profile.user_timeout, help("Limit on unacknowledged data"), 10, 86400);
  add_seconds(app, names("keepalive"), profile.keepalive, help("Idle time before a keepalive probe"), 10, 32767);
}

// Room for what is in flight, and for three round trips more: the repair of a packet that is lost twice takes so long,
// and the sender should not stand still meanwhile.
// The kernel doubles what SO_RCVBUF and SO_SNDBUF are given for its bookkeeping (socket(7)).
void size_buffers(Config& config)
{
  constexpr std::uint32_t headroom = 4;
  constexpr double least_bytes = 128.0 * 1024;
  constexpr double most_bytes = 256.0 * 1024 * 1024;
  fail_unless((config.satellite_rate_in_mbit > 0) == (config.satellite_rtt.count() > 0),
              "--satellite-rate and --satellite-rtt go together: buffers need both");
  if (config.satellite_rate_in_mbit > 0) {
    const std::chrono::duration<double> rtt{config.satellite_rtt};
    const auto product = [&](double mbit) {
      return static_cast<std::uint32_t>(std::clamp(mbit * 1e6 / 8 * rtt.count(), least_bytes, most_bytes));
    };
    config.satellite_bytes_in_flight = product(config.satellite_rate_out_mbit);
    config.satellite.receive_buffer_bytes = headroom * product(config.satellite_rate_in_mbit);
    config.satellite.send_buffer_bytes = headroom * config.satellite_bytes_in_flight;
  }
}

void add_leg_options(CLI::App& app, Config& config)
{
  app.add_option_function<std::string>(
         "-C,--congestion",
         [&config](const std::string& name) {
           config.satellite.congestion = config.satellite.congestion.empty() ? name : config.satellite.congestion;
           config.terrestrial.congestion = config.terrestrial.congestion.empty() ? name : config.terrestrial.congestion;
         },
         "Congestion control of both legs (default: the system's)")
      ->type_name("NAME");
  add_profile_options(app, "satellite", config.satellite);
  add_profile_options(app, "terrestrial", config.terrestrial);
  app.add_option_function<std::string>(
         "--satellite-rate", [&config](const std::string& text) { parse_rates(text, config); },
         "Mbit/s that this box gets from the satellite and that it may send to it; one number: both")
      ->type_name("IN[/OUT]");
  app.add_option_function<int>(
         "--satellite-rtt", [&config](int value) { config.satellite_rtt = std::chrono::milliseconds{value}; },
         "Round-trip time of the satellite link; with the rates, it sizes the satellite leg's buffers")
      ->check(CLI::Range(1, 10000))
      ->type_name("MS");
  app.add_flag("-f,--fastopen", config.fastopen, "TCP Fast Open towards a peer PEPsal across the satellite");
  app.add_option("-m,--max-segment-size", config.max_segment_size, "MSS of the outgoing leg (default: the path's)")
      ->check(CLI::Range(88, 65495))
      ->type_name("BYTES");
  app.add_option("--satellite-interface", config.satellite_interfaces, "Interface on the satellite side; repeatable")
      ->type_name("NAME");
  app.add_option_function<std::string>(
         "--source",
         [&config](const std::string& text) {
           fail_unless(text == "preserve" || text == "own", fmt::format("--source: '{}' is not preserve or own", text));
           config.source = text == "own" ? Source::own : Source::preserve;
         },
         "Source address of the outgoing leg: the client's, or the box's own")
      ->default_str("preserve")
      ->type_name("preserve|own");
}

std::string one_line(std::string text)
{
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') {
    text.pop_back();
  }
  return text;
}

std::vector<std::string> words_in(const std::string& file)
{
  std::ifstream stream{file};
  return {std::istream_iterator<std::string>{stream}, {}};
}

void check_congestion(const std::string& name)
{
  constexpr auto list = "/proc/sys/net/ipv4/tcp_available_congestion_control";
  const auto available = words_in(list);
  if (!name.empty() && std::find(available.begin(), available.end(), name) == available.end()) {
    throw std::runtime_error{
        fmt::format("congestion control '{}' is not one of those this kernel has: {} (modprobe tcp_{} may "
                    "add it)",
                    name, fmt::join(available, ", "), name)};
  }
}

// The kernel ignores TCP_FASTOPEN in silence while its sysctl has not both bits (ip-sysctl, tcp_fastopen).
void check_fastopen()
{
  constexpr int client_and_server = 1 | 2;
  int enabled = 0;
  std::ifstream{"/proc/sys/net/ipv4/tcp_fastopen"} >> enabled;
  if ((enabled & client_and_server) != client_and_server) {
    throw std::runtime_error{
        fmt::format("--fastopen: this kernel has it off for client or server: sysctl -w net.ipv4.tcp_fastopen={}",
                    enabled | client_and_server)};
  }
}

// CLI11 says "INI was not able to parse" of an unknown key, and names neither the file nor what is allowed.
std::string about_file(const CLI::Option& file, std::string what)
{
  constexpr std::string_view unknown = "INI was not able to parse ";
  if (what.starts_with(unknown)) {
    what =
        fmt::format("unknown key '{}': the keys are the long options, see pepsal --help", what.substr(unknown.size()));
  }
  return fmt::format("{}: {}", file.as<std::string>(), what);
}

} // namespace

std::string check_instance_name(const std::string& name)
{
  const bool plain = !name.empty() && name.size() <= 64 && name.front() != '.' &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
                     });
  return plain ? "" : fmt::format("'{}' is not 1 to 64 letters, digits, '-', '_' or '.', no '.' first", name);
}

CommandLine parse_command_line(int argc, const char* const* argv)
{
  Config config;
  CLI::App app{"PEPsal: a transparent TCP performance enhancing proxy for satellite links (RFC 3135)", "pepsal"};
  app.set_version_flag("-V,--version", "pepsal " PEPSAL_VERSION);
  auto* file = app.set_config("--config", "", "Configuration file; its keys are the long options");
  file->type_name("FILE");
  if (std::filesystem::exists(default_config_file)) {
    file->default_str(default_config_file);
  }
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_service_options(app, config);
  add_capacity_options(app, config);
  add_leg_options(app, config);
  app.get_option("--satellite-interface")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);

  try {
    app.parse(argc, argv);
    size_buffers(config);
    if (config.pidfile.empty()) {
      config.pidfile = fmt::format("/run/pepsal/{}.pid", config.instance);
    }
    fail_unless(!config.daemon || config.pidfile.starts_with('/'),
                fmt::format("--pidfile: '{}' is not a path from the root, which -d needs", config.pidfile));
    fail_unless(!config.daemon || file->count() == 0 || file->as<std::string>().starts_with('/'),
                fmt::format("--config: '{}' is not a path from the root, which -d needs", file->as<std::string>()));
    fail_unless(!config.fastopen || !config.satellite_interfaces.empty(),
                "--fastopen: needs --satellite-interface, the only one it is used on");
  } catch (const CLI::CallForHelp&) {
    return {.config = std::nullopt, .text = app.help()};
  } catch (const CLI::CallForVersion& version) {
    return {.config = std::nullopt, .text = std::string{version.what()} + "\n"};
  } catch (const CLI::ConfigError& error) {
    throw UsageError{about_file(*file, one_line(error.what()))};
  } catch (const CLI::ExtrasError& error) {
    throw UsageError{one_line(error.what()) + ": pepsal --help lists the options"};
  } catch (const CLI::ParseError& error) {
    throw UsageError{one_line(error.what())};
  }
  return {.config = config, .text = {}};
}

void check_against_system(const Config& config)
{
  check_congestion(config.satellite.congestion);
  check_congestion(config.terrestrial.congestion);
  if (config.fastopen) {
    check_fastopen();
  }
  for (const auto& interface : config.satellite_interfaces) {
    if (if_nametoindex(interface.c_str()) == 0) {
      throw std::runtime_error{
          fmt::format("satellite interface '{}' does not exist: `ip link` lists those that do", interface)};
    }
  }
}

} // namespace pepsal
