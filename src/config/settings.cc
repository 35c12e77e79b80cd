// The options one by one: name, value, help, and the values allowed. Called by the parsers of command line and file,
// which add the place of a wrong value.

#include "config/settings.hh"

#include <charconv>
#include <stdexcept>

#include <fmt/core.h>

#include "util/endpoint.hh"

namespace pepsal {

namespace {

void require(bool condition, const std::string& message)
{
  if (!condition) {
    throw std::invalid_argument{message};
  }
}

std::optional<long> whole_number(std::string_view text)
{
  long value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end ? std::optional{value} : std::nullopt;
}

long number_within(const std::string& text, long lowest, long highest)
{
  const auto value = whole_number(text);
  require(value && *value >= lowest && *value <= highest,
          fmt::format("'{}' is not a number from {} to {}", text, lowest, highest));
  return *value;
}

void parse_queues(const std::string& text, Config& config)
{
  constexpr long most_queues = 64;
  const auto colon = text.find(':');
  const auto first = whole_number(text.substr(0, colon));
  const auto last = colon == std::string::npos ? first : whole_number(text.substr(colon + 1));
  require(first && last && *first >= 0 && *last >= 0 && *first <= 65535 && *last <= 65535,
          fmt::format("'{}' is not N or N:M with numbers from 0 to 65535", text));
  require(*first <= *last && *last - *first < most_queues,
          fmt::format("'{}' is not a range of at most {} queues, lowest first", text, most_queues));
  config.first_queue = static_cast<std::uint16_t>(*first);
  config.last_queue = static_cast<std::uint16_t>(*last);
}

// Builds the list; begin() sets the group of what is added after it.
class SettingList
{
public:
  void begin(std::string_view group) { group_ = group; }

  Setting& text(std::string names, std::string type, std::string help, std::function<void(const std::string&)> set)
  {
    list_.push_back({.group = group_,
                     .names = std::move(names),
                     .type = std::move(type),
                     .help = std::move(help),
                     .set = [set = std::move(set)](const std::string& value) {
                       require(!value.empty(), "needs a value");
                       set(value);
                     }});
    return list_.back();
  }

  Setting& flag(std::string names, bool& target, std::string help)
  {
    list_.push_back({.group = group_,
                     .names = std::move(names),
                     .type = {},
                     .help = std::move(help),
                     .set = [&target](const std::string& value) {
                       require(value == "true" || value == "false", fmt::format("'{}' is not true or false", value));
                       target = value == "true";
                     }});
    return list_.back();
  }

  // A number whose default is `target`'s value; for 0, no default is shown.
  template<typename Number>
  Setting& number(const std::string& names, const std::string& type, Number& target, const std::string& help,
                  long lowest, long highest)
  {
    auto& setting = text(names, type, help, [&target, lowest, highest](const std::string& value) {
      target = static_cast<Number>(number_within(value, lowest, highest));
    });
    setting.by_default = target == 0 ? "" : fmt::format("{}", target);
    return setting;
  }

  Setting& seconds(std::string names, std::chrono::seconds& target, std::string help, long lowest, long highest)
  {
    auto& setting =
        text(std::move(names), "SECONDS", std::move(help), [&target, lowest, highest](const std::string& value) {
          target = std::chrono::seconds{number_within(value, lowest, highest)};
        });
    setting.by_default = fmt::format("{}", target.count());
    return setting;
  }

  std::vector<Setting> take() { return std::move(list_); }

private:
  std::string_view group_;
  std::vector<Setting> list_;
};

void add_service(SettingList& list, Config& config)
{
  list.begin("Service");
  list.flag("-d,--daemon", config.daemon, "Run in the background; return once the service is ready");
  list.flag("-v,--verbose", config.verbose, "Log debug messages too");
  list.flag("--hide-connections", config.hide_connections,
            "Keep addresses out of process titles, which ps(1) shows to every user");
  list.text("--log-connections", "all|failed|none", "Which connections to log when they end",
            [&config](const std::string& text) {
              require(text == "all" || text == "failed" || text == "none",
                      fmt::format("'{}' is not all, failed or none", text));
              config.log_connections = text == "all"      ? LogConnections::all
                                       : text == "failed" ? LogConnections::failed
                                                          : LogConnections::none;
            })
      .by_default = "all";
  list.number("-p,--port", "PORT", config.port, "TCP port to listen on", 1, 65535);
  list.text("-a,--address", "ADDRESS", "Address to listen on",
            [&config](const std::string& text) {
              require(Endpoint::parse(text, 0).has_value(), fmt::format("'{}' is not an IPv4 or IPv6 address", text));
              config.address = text;
            })
      .by_default = "all, IPv4 and IPv6";
  list.text("-q,--queue", "N[:M]", "NFQUEUE number or range",
            [&config](const std::string& text) { parse_queues(text, config); })
      .by_default = "0";
  list.number("--mark-shift", "N", config.marks.shift, "Lowest of the four mark bits used", 0, 28);
  list.text("--instance", "NAME", "Name of the shared table and files",
            [&config](const std::string& text) {
              const auto complaint = check_instance_name(text);
              require(complaint.empty(), complaint);
              config.instance = text;
            })
      .by_default = config.instance;
  list.text("--pidfile", "FILE", "Pid file", [&config](const std::string& text) { config.pidfile = text; }).by_default =
      "/run/pepsal/INSTANCE.pid";
  list.text("--connect", "fast|honest",
            "Complete the handshake with clients at once, or once their server has accepted",
            [&config](const std::string& text) {
              require(text == "fast" || text == "honest", fmt::format("'{}' is not fast or honest", text));
              config.connect = text == "honest" ? Connect::honest : Connect::fast;
            })
      .by_default = "fast";
  list.text("--user", "NAME", "User to switch to", [&config](const std::string& text) { config.user = text; });
}

void add_capacity(SettingList& list, Config& config)
{
  list.begin("Capacity");
  list.number("-c,--max-connections", "N", config.max_connections,
              "Concurrent connections; further ones bypass the proxy", 1, 1'000'000);
  list.number("--max-connections-per-client", "N", config.max_per_client,
              "Concurrent connections of one client, an IPv4 address or IPv6 /64", 1, 1'000'000)
      .by_default = "a quarter of all";
  list.seconds("-t,--pending-lifetime", config.pending_lifetime, "How long a SYN without its connection is remembered",
               1, 3600);
  list.seconds("-g,--gc-interval", config.gc_interval, "Time between collections of stale entries", 1, 3600);
  list.number("--spare-proxies", "N", config.spare_proxies, "Idle proxies kept ready for each listener", 1, 1024);
  list.number("--proxy-reuse", "N", config.proxy_reuse, "Connections a proxy serves before it exits", 1, 1'000'000'000);
  list.seconds("--connect-timeout", config.connect_timeout, "Limit on a dial", 1, 600);
  list.seconds("--drain-timeout", config.drain_timeout, "Limit on ending after SIGTERM", 0, 86400);
}

void add_links(SettingList& list, Config& config)
{
  list.begin("Satellite links");
  list.text("--link", "TEXT",
            "A link: IFACE rate=DOWN/UP rtt=MS side=gateway|terminal [loss=PERCENT], in Mbit/s as the users see it "
            "and in milliseconds; repeatable; overrides what the file says about the same interface",
            [&config](const std::string& text) { add_link(config.links, text); })
      .repeatable = true;
  list.text("--intercept", "IFACE",
            "An interface whose connections pepsal-iptables(8) intercepts, besides the links', or none for no rules; "
            "repeatable",
            [&config](const std::string& text) { add_intercepted(config.intercept, text); })
      .repeatable = true;
  list.flag("-f,--fastopen", config.fastopen, "TCP Fast Open towards a PEPsal at the other end of the satellite link");
}

void add_profile(SettingList& list, const std::string& side, LegProfile& profile)
{
  const auto names = [&side](const char* option) { return fmt::format("--{}-{}", side, option); };
  const auto help = [&side](const char* text) { return fmt::format("{}, on the {} side", text, side); };
  list.text(names("congestion"), "NAME", help("Congestion control"),
            [&profile](const std::string& text) { profile.congestion = text; });
  list.number(names("pacing"), "MBIT", profile.pacing_mbit, help("Limit on each connection's sending rate"), 1, 30'000);
  list.number(names("notsent-lowat"), "BYTES", profile.notsent_lowat_bytes, help("Limit on unsent bytes in the kernel"),
              4096, 1L << 30);
  list.seconds(names("user-timeout"), profile.user_timeout, help("Limit on unacknowledged data"), 10, 86400);
  list.seconds(names("keepalive"), profile.keepalive, help("Idle time before a keepalive probe"), 10, 32767);
}

void add_legs(SettingList& list, Config& config)
{
  list.begin("Legs");
  list.text("-C,--congestion", "NAME", "Congestion control on both sides",
            [&config](const std::string& text) { config.congestion = text; })
      .by_default = "the system's";
  add_profile(list, "satellite", config.satellite);
  add_profile(list, "terrestrial", config.terrestrial);
  list.number("-m,--max-segment-size", "BYTES", config.max_segment_size, "MSS of the server leg", 88, 65495)
      .by_default = "the path's";
  list.text("--source", "preserve|own", "Source address of the server leg: the client's, or the box's own",
            [&config](const std::string& text) {
              require(text == "preserve" || text == "own", fmt::format("'{}' is not preserve or own", text));
              config.source = text == "own" ? Source::own : Source::preserve;
            })
      .by_default = "preserve";
}

void add_peers(SettingList& list, PeerOptions& peers)
{
  list.begin("Peers");
  list.text("--peer", "ADDRESS[,PREFIX...]",
            "PEPsal across a link to keep warm connections to, and the destinations behind it; repeatable",
            [&peers](const std::string& text) { peers.peers.push_back(parse_peer(text)); })
      .repeatable = true;
  list.number("--warm-connections", "N", peers.warm_connections, "Warm connections kept ready for each peer", 0, 1024);
  list.number("--peer-port", "PORT", peers.port, "TCP port of warm connections, the same on all boxes", 1, 65535)
      .by_default = "the one after --port";
  list.text("--peer-key", "FILE", "File with the secret shared with the peers",
            [&peers](const std::string& text) { peers.key_file = text; });
}

} // namespace

std::string_view Setting::key() const
{
  const std::string_view all = names;
  return all.substr(all.find("--") + 2);
}

std::vector<Setting> settings_of(Config& config)
{
  SettingList list;
  add_service(list, config);
  add_capacity(list, config);
  add_links(list, config);
  add_peers(list, config.peers);
  add_legs(list, config);
  return list.take();
}

} // namespace pepsal
