#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/peers.hh"
#include "link/link.hh"

namespace pepsal {

// How TCP behaves on one side of the box. Zero or empty leaves the system's default.
struct LegProfile
{
  std::string congestion;               // name as in net.ipv4.tcp_available_congestion_control
  std::uint32_t receive_buffer_bytes{}; // SO_RCVBUF
  std::uint32_t send_buffer_bytes{};    // SO_SNDBUF
  std::uint32_t pacing_mbit{};          // SO_MAX_PACING_RATE, Mbit/s
  std::uint32_t notsent_lowat_bytes{};  // TCP_NOTSENT_LOWAT
  // Longer than the fades of a satellite link, short enough that a vanished host does not occupy its process
  // indefinitely (RFC 5482, tcp(7)).
  std::chrono::seconds user_timeout{900};
  std::chrono::seconds keepalive{600}; // idle time before the first probe
};

// The marks by which netfilter tells packets and sockets apart: four bits at `shift`.
struct Marks
{
  unsigned shift{16}; // 0..28

  std::uint32_t value_mask() const { return 7U << shift; }
  std::uint32_t intercept() const { return 1U << shift; }
  std::uint32_t bypass() const { return 2U << shift; }
  std::uint32_t client_leg() const { return 3U << shift; }
  std::uint32_t server_leg() const { return 4U << shift; }
  // The same for server legs that must follow the site's ip rules by interface, which pepsal-iptables repeats for it.
  std::uint32_t server_leg_by_arrival() const { return 12U << shift; }
  std::uint32_t returned() const { return 13U << shift; } // delivered here whatever the address, under TPROXY
  bool operator==(const Marks&) const = default;
};

enum class Source
{
  preserve,
  own
};

// When a client's handshake is completed.
enum class Connect
{
  fast,  // at once
  honest // once its server has accepted, if that costs no round trip across a satellite
};

// Which connections are logged when they end.
enum class LogConnections
{
  all,
  failed, // those that did not end in good order
  none
};

// What stays the same as long as the daemon runs.
struct FixedConfig
{
  bool daemon{};
  std::string address; // empty: all, IPv4 and IPv6
  std::uint16_t port{5000};
  std::uint16_t first_queue{0};
  std::uint16_t last_queue{0};
  Marks marks;
  std::string instance{"default"};
  std::string pidfile; // empty only while the options are read
  std::string user;    // empty: keep the current user
  Connect connect{Connect::fast};
  PeerOptions peers;
};

// The daemon's whole configuration, checked. SIGHUP creates a new one, which keeps the fixed part of the old one.
struct Config : FixedConfig
{
  bool verbose{};
  bool hide_connections{}; // from process titles
  LogConnections log_connections{LogConnections::all};
  std::uint32_t max_connections{8192};
  std::uint32_t max_per_client{}; // 0: as per_client_limit() says
  std::chrono::seconds pending_lifetime{60};
  std::chrono::seconds gc_interval{5};
  std::chrono::seconds connect_timeout{30};
  std::chrono::seconds drain_timeout{30};
  std::uint32_t spare_proxies{8};
  std::uint32_t proxy_reuse{1};

  Source source{Source::preserve};
  std::string congestion; // of both sides, unless a side's profile names its own
  std::vector<Link> links;
  std::vector<std::string> intercept; // as given, in addition to the links' interfaces; see intercepted_interfaces()
  LegProfile satellite;               // of every link; the buffers are each link's own, see leg_figures()
  LegProfile terrestrial;
  bool fastopen{};                  // data in SYNs that leave or arrive on a satellite interface (RFC 7413)
  std::uint16_t max_segment_size{}; // bytes; 0: the path's
};

// How many connections one client, an IPv4 address or an IPv6 /64, may have. Unless configured, a quarter of all, but
// at least 64.
std::uint32_t per_client_limit(const Config& config);

// The interfaces whose connections pepsal-iptables steers into the daemon: the links' and those of `intercept`, each
// once. A name that ends in '+' matches all that begin that way. Empty if the administrator steers connections some
// other way.
std::vector<std::string> intercepted_interfaces(const Config& config);

// Adds one value of --intercept: an interface or "none". Throws std::invalid_argument that says what is allowed.
void add_intercepted(std::vector<std::string>& intercept, const std::string& word);

// The options of the fixed part whose values differ, without dashes.
std::vector<std::string_view> differing_options(const FixedConfig& one, const FixedConfig& other);

// What a reload from `running` to `fresh` cannot change about the links, a line each.
std::vector<std::string> link_warnings(const std::vector<Link>& running, const std::vector<Link>& fresh);

// Checks an instance's name: returns the empty string if it is allowed, otherwise what is.
std::string check_instance_name(const std::string& name);

} // namespace pepsal
