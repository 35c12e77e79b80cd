#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace pepsal {

// How TCP behaves on one side of the box. Zero or empty leaves the system's.
struct LegProfile
{
  std::string congestion;               // name as in net.ipv4.tcp_available_congestion_control
  std::uint32_t receive_buffer_bytes{}; // SO_RCVBUF
  std::uint32_t send_buffer_bytes{};    // SO_SNDBUF
  std::uint32_t pacing_mbit{};          // SO_MAX_PACING_RATE, Mbit/s
  std::uint32_t notsent_lowat_bytes{};  // TCP_NOTSENT_LOWAT
  // Longer than the fades of a satellite link, short enough that a vanished peer does not hold its
  // process for ever (RFC 5482, tcp(7)).
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
};

enum class Source
{
  preserve,
  own
};

// Everything the daemon was told, checked; built before the first fork and never changed.
struct Config
{
  bool daemon{};
  bool verbose{};

  std::string address; // empty: all, IPv4 and IPv6
  std::uint16_t port{5000};
  std::uint16_t first_queue{0};
  std::uint16_t last_queue{0};
  Marks marks;

  std::uint32_t max_connections{8192};
  std::chrono::seconds pending_lifetime{60};
  std::chrono::seconds gc_interval{5};
  std::chrono::seconds connect_timeout{30};
  std::chrono::seconds drain_timeout{30};
  std::uint32_t spare_proxies{8};
  std::uint32_t proxy_reuse{1};

  Source source{Source::preserve};
  std::vector<std::string> satellite_interfaces;
  double satellite_rate_in_mbit{};           // from the satellite; with the RTT, the satellite leg's receive buffer
  double satellite_rate_out_mbit{};          // to the satellite; with the RTT, its send buffer
  std::chrono::milliseconds satellite_rtt{}; // 0: buffers are the system's
  std::uint32_t satellite_bytes_in_flight{}; // sent and not acknowledged when the link is full; 0 when not known
  LegProfile satellite;
  LegProfile terrestrial;
  bool fastopen{};                  // data in SYNs that leave by, or arrive from, a satellite interface (RFC 7413)
  std::uint16_t max_segment_size{}; // bytes; 0: the path's

  std::string instance{"default"};
  std::string pidfile; // empty only when parsing has not filled in the default
  std::string user;    // empty: stay who we are
};

// What a command line asks for: to run with a configuration, or to print a text and end.
struct CommandLine
{
  std::optional<Config> config;
  std::string text; // for stdout when there is no config: help or version
};

// Reads the options and the configuration file they name (or the default one, if it exists). Throws
// UsageError with one line that names the option or key, its value and what is allowed.
CommandLine parse_command_line(int argc, const char* const* argv);

class UsageError : public std::runtime_error
{
public:
  using std::runtime_error::runtime_error;
};

// Whether an instance may have this name: the empty string if so, else what is allowed.
std::string check_instance_name(const std::string& name);

// Checks what only this system can tell: congestion controls, interfaces, Fast Open. Throws
// std::runtime_error with one line that says which value is wrong and what is there.
void check_against_system(const Config& config);

} // namespace pepsal
