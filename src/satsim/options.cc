// The command line of satsim. Called once by main; anything wrong is a UsageError, before anything has been created.

#include "satsim/options.hh"

#include <algorithm>
#include <cmath>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <net/if.h>

#include "util/version.hh"

#include "satsim/numbers.hh"

namespace pepsal::satsim {

namespace {

constexpr double most_queue_bytes = 1e9;
constexpr std::uint64_t up_seed_offset = 0x9e3779b97f4a7c15; // any odd number; keeps the directions' sequences apart

// The options as typed: CLI11's own conversions would accept more than numbers and report less.
struct Texts
{
  std::string a_namespace, b_namespace;
  std::string a_device{"sat0"}, b_device{"sat0"};
  std::string a_addresses, b_addresses;
  std::string rate_down, rate_up;
  std::string rtt, delay_down, delay_up;
  std::string queue_bdp, queue_down, queue_up;
  std::string loss_down{"0"}, loss_up{"0"};
  std::string burst_down, burst_up;
  std::string schedule;
  std::string seed{"1"};
  std::string mtu{"1500"};
  std::string ready_fd;
  std::string queue_log, log_interval{"10"};
  bool no_realtime{false};
  bool check{false};
};

void declare(CLI::App& app, Texts& texts)
{
  app.set_version_flag("-V,--version", std::string{"satsim "} + version());
  const auto add = [&app](const char* name, std::string& text, const char* help) { app.add_option(name, text, help); };
  add("--a-namespace", texts.a_namespace,
      "Network namespace of the terminal's end: name, path or process id (default: own)");
  add("--b-namespace", texts.b_namespace, "The same for the gateway's end");
  add("--a-device", texts.a_device, "Interface made there (sat0)");
  add("--b-device", texts.b_device, "Interface made there (sat0)");
  add("--a-address", texts.a_addresses, "Addresses with prefix lengths, separated by commas (none)");
  add("--b-address", texts.b_addresses, "The same for the gateway's end");
  add("--rate-down", texts.rate_down, "Mb/s from gateway to terminal, IP headers included (required)");
  add("--rate-up", texts.rate_up, "Mb/s from terminal to gateway (required)");
  add("--rtt", texts.rtt, "Propagation there and back in ms, half of it each way");
  add("--delay-down", texts.delay_down, "Propagation one way in ms, instead of --rtt");
  add("--delay-up", texts.delay_up, "The same for the way up");
  add("--queue-bdp", texts.queue_bdp, "Drop-tail queues in bandwidth-delay products of their direction (1)");
  add("--queue-down", texts.queue_down, "Drop-tail queue in bytes, instead of --queue-bdp");
  add("--queue-up", texts.queue_up, "The same for the way up");
  add("--loss-down", texts.loss_down, "Random loss in percent (0)");
  add("--loss-up", texts.loss_up, "The same for the way up");
  add("--burst-down", texts.burst_down,
      "Gilbert-Elliott loss P,R[,BAD[,GOOD]] in percent: from good to bad, back, loss in bad (100), in good (0)");
  add("--burst-up", texts.burst_up, "The same for the way up");
  add("--schedule", texts.schedule,
      "Changes SECONDS:down|up|both:CHANGE, CHANGE being rate=MBIT, loss=PERCENT, outage=SECONDS (all is lost) or "
      "stall=SECONDS (nothing is sent); counted from the start or from the last SIGUSR2");
  add("--seed", texts.seed, "Seed of the losses (1)");
  add("--mtu", texts.mtu, "MTU of both interfaces in bytes (1500)");
  add("--ready-fd", texts.ready_fd, "Descriptor that gets a newline when the link is up");
  add("--log-queue", texts.queue_log, "CSV file for the queues' lengths in time");
  add("--log-interval", texts.log_interval, "ms between its lines (10)");
  app.add_flag("--no-realtime", texts.no_realtime, "Do not ask for real-time scheduling");
  app.add_flag("--check", texts.check, "Only check the options");
}

std::string device_name(std::string_view option, const std::string& text)
{
  const bool has_bad_character = text.find_first_of(" /:\t\n%") != std::string::npos;
  if (text.empty() || text.size() >= IFNAMSIZ || has_bad_character) {
    throw UsageError{
        fmt::format("{}: '{}' is not an interface name of 1 to {} characters", option, text, IFNAMSIZ - 1)};
  }
  return text;
}

std::vector<std::string> addresses(const std::string& text)
{
  std::vector<std::string> result;
  for (const auto part : split(text, ",")) {
    if (!part.empty()) {
      result.emplace_back(part);
    }
  }
  return result;
}

Time milliseconds(double value)
{
  return Time{std::llround(value * 1e6)};
}

double whole_number(std::string_view option, std::string_view text, double least, double most)
{
  const double value = parse_number(option, text, least, most);
  if (value != std::floor(value)) {
    throw UsageError{fmt::format("{}: '{}' is not a whole number", option, text)};
  }
  return value;
}

BitsPerSecond rate(std::string_view option, const std::string& text)
{
  if (text.empty()) {
    throw UsageError{fmt::format("{} is missing: a rate from 0.001 to 10000 Mb/s", option)};
  }
  return std::llround(parse_number(option, text, 0.001, 10'000) * 1e6);
}

void read_delays(Options& options, const Texts& texts)
{
  const bool one_way = !texts.delay_down.empty() && !texts.delay_up.empty();
  const bool any_one_way = !texts.delay_down.empty() || !texts.delay_up.empty();
  if (texts.rtt.empty() ? !one_way : any_one_way) {
    throw UsageError{"the delay is given either as --rtt or as --delay-down and --delay-up"};
  }
  constexpr double most_ms = 60'000;
  if (one_way) {
    options.down.delay = milliseconds(parse_number("--delay-down", texts.delay_down, 0, most_ms));
    options.up.delay = milliseconds(parse_number("--delay-up", texts.delay_up, 0, most_ms));
  } else {
    options.down.delay = options.up.delay = milliseconds(parse_number("--rtt", texts.rtt, 0, most_ms) / 2);
  }
}

std::size_t queue(const char* option, const std::string& text, double bdps, const Options& options,
                  const Profile& profile)
{
  if (!text.empty()) {
    return static_cast<std::size_t>(whole_number(option, text, 0, most_queue_bytes));
  }
  const double rtt_seconds = static_cast<double>((options.down.delay + options.up.delay).count()) * 1e-9;
  const double bytes = bdps * rtt_seconds * static_cast<double>(profile.rate) / 8;
  if (bytes > most_queue_bytes) {
    throw UsageError{fmt::format("--queue-bdp: {} makes a queue of {:.0f} bytes; the maximum is {:.0f}", bdps, bytes,
                                 most_queue_bytes)};
  }
  return static_cast<std::size_t>(std::llround(bytes));
}

void read_link(Options& options, const Texts& texts)
{
  options.down.rate = rate("--rate-down", texts.rate_down);
  options.up.rate = rate("--rate-up", texts.rate_up);
  read_delays(options, texts);
  if (!texts.queue_bdp.empty() && !texts.queue_down.empty() && !texts.queue_up.empty()) {
    throw UsageError{"--queue-bdp has no effect when both --queue-down and --queue-up are given"};
  }
  const double bdps = texts.queue_bdp.empty() ? 1 : parse_number("--queue-bdp", texts.queue_bdp, 0, 1000);
  options.down.queue_bytes = queue("--queue-down", texts.queue_down, bdps, options, options.down);
  options.up.queue_bytes = queue("--queue-up", texts.queue_up, bdps, options, options.up);
  options.down.random_loss = parse_number("--loss-down", texts.loss_down, 0, 100) / 100;
  options.up.random_loss = parse_number("--loss-up", texts.loss_up, 0, 100) / 100;
  if (!texts.burst_down.empty()) {
    options.down.burst = parse_burst("--burst-down", texts.burst_down);
  }
  if (!texts.burst_up.empty()) {
    options.up.burst = parse_burst("--burst-up", texts.burst_up);
  }
  auto schedules = parse_schedule(texts.schedule);
  options.down.schedule = std::move(schedules.down);
  options.up.schedule = std::move(schedules.up);
  options.down.seed = static_cast<std::uint64_t>(whole_number("--seed", texts.seed, 0, 4'294'967'295));
  options.up.seed = options.down.seed + up_seed_offset;
}

Options interpret(const Texts& texts)
{
  Options options;
  options.a.network_namespace = texts.a_namespace;
  options.b.network_namespace = texts.b_namespace;
  options.a.name = device_name("--a-device", texts.a_device);
  options.b.name = device_name("--b-device", texts.b_device);
  options.a.addresses = addresses(texts.a_addresses);
  options.b.addresses = addresses(texts.b_addresses);
  read_link(options, texts);
  // IPv4 needs at least 68 bytes (RFC 791), IPv6 1280 (RFC 8200 section 5); a TUN device allows at most 65535.
  options.a.mtu = options.b.mtu = static_cast<int>(whole_number("--mtu", texts.mtu, 68, 65'535));
  options.down.largest_packet = options.up.largest_packet = static_cast<std::size_t>(options.a.mtu);
  if (!texts.ready_fd.empty()) {
    options.ready_descriptor = static_cast<int>(whole_number("--ready-fd", texts.ready_fd, 0, 65'535));
  }
  options.queue_log = texts.queue_log;
  options.queue_log_interval = milliseconds(parse_number("--log-interval", texts.log_interval, 0.1, 60'000));
  options.realtime = !texts.no_realtime;
  options.check_only = texts.check;
  return options;
}

std::string one_line(std::string text)
{
  std::ranges::replace(text, '\n', ' ');
  return text;
}

} // namespace

CommandLine parse_command_line(int argc, const char* const* argv)
{
  CLI::App app{"Emulates a satellite link between two network namespaces.", "satsim"};
  Texts texts;
  declare(app, texts);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {std::nullopt, app.help()};
  } catch (const CLI::CallForVersion&) {
    return {std::nullopt, app.version() + '\n'};
  } catch (const CLI::ParseError& error) {
    throw UsageError{one_line(error.what()) + " (--help lists the options)"};
  }
  return {interpret(texts), {}};
}

} // namespace pepsal::satsim
