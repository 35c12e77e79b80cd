// The output of --check, --print-links and --print-rules. Cannot fail: for an interface that does not exist, the usual
// MTU is assumed.

#include "config/report.hh"

#include <array>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "link/figures.hh"
#include "util/socket.hh"

namespace pepsal {

namespace {

unsigned mtu_of(const std::string& interface)
{
  constexpr unsigned usual_mtu_bytes = 1500;
  ifreq request{};
  interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
  const auto socket = Socket::create(AF_INET, SOCK_DGRAM, 0);
  return ::ioctl(socket.number(), SIOCGIFMTU, &request) == 0 ? static_cast<unsigned>(request.ifr_mtu) : usual_mtu_bytes;
}

std::string megabytes(double bytes)
{
  return fmt::format("{:.2f} MB", bytes / 1e6);
}

std::string describe(const Link& link)
{
  if (!link.has_rates()) {
    return fmt::format("link {}: rates not known, the system sizes buffers and windows\n", link.interface);
  }
  const auto leg = leg_figures(link);
  const auto interface = interface_figures(link, mtu_of(link.interface));
  auto text = fmt::format("link {}: {} Mbit/s to the users and {} from them, round trip {} ms; this box is the {}\n",
                          link.interface, link.down_mbit, link.up_mbit, link.round_trip.count(), name_of(*link.side));
  text += fmt::format("  it sends {} Mbit/s and receives {}; {} are in flight to the satellite when the link is full\n",
                      link.send_mbit(), link.receive_mbit(), megabytes(leg.bytes_in_flight));
  text += fmt::format("  buffers of each connection's satellite leg: {} to send, {} to receive\n",
                      megabytes(leg.send_buffer_bytes), megabytes(leg.receive_buffer_bytes));
  text +=
      fmt::format("  pepsal-satlink: shaped to {:.3f} Mbit/s, initial windows of {} segments to send, {} to receive\n",
                  static_cast<double>(interface.shaped_bit) / 1e6, interface.send_window_segments,
                  interface.receive_window_segments);
  if (interface.repeat.packets > 0) {
    text += fmt::format("  it loses {} %: the last {} packets are repeated when it is idle\n", link.loss_percent,
                        interface.repeat.packets);
  }
  return text;
}

std::string describe_interception(const Config& config)
{
  const auto interfaces = intercepted_interfaces(config);
  if (interfaces.empty()) {
    return fmt::format("intercepted: nothing ({})\n", config.intercept.empty()
                                                          ? "neither link nor intercept names an interface"
                                                          : "intercept is none");
  }
  return fmt::format("intercepted, by pepsal-iptables: connections that arrive at {}\n", fmt::join(interfaces, ", "));
}

std::string name_or_system(const std::string& congestion)
{
  return congestion.empty() ? "the system's" : congestion;
}

} // namespace

std::string describe(const Config& config)
{
  auto text =
      config.links.empty() ? std::string{"no link: both legs of each connection are terrestrial\n"} : std::string{};
  for (const auto& link : config.links) {
    text += describe(link);
  }
  if (!config.links.empty()) {
    text += fmt::format("satellite side: congestion control {}, Fast Open {}\n",
                        name_or_system(config.satellite.congestion), config.fastopen ? "on" : "off");
  }
  text += fmt::format("terrestrial side: congestion control {}\n", name_or_system(config.terrestrial.congestion));
  for (const auto& peer : config.peers.peers) {
    std::vector<std::string> behind;
    for (const auto& prefix : peer.prefixes) {
      behind.push_back(prefix.to_string());
    }
    text += fmt::format("peer {}: {} warm connections to its port {}, {}; behind it: {}\n",
                        peer.address.address_string(), config.peers.warm_connections, config.peers.port,
                        config.peers.key_file.empty() ? "without a key" : "with a key",
                        behind.empty() ? "all that its link leads to" : fmt::format("{}", fmt::join(behind, ", ")));
  }
  if (config.connect == Connect::honest) {
    text += "connect honest: clients are answered when their server has accepted, but for servers across a link\n";
  }
  text += describe_interception(config);
  text += fmt::format("instance {}: port {}, queues {} to {}, up to {} connections at once\n", config.instance,
                      config.port, config.first_queue, config.last_queue, config.max_connections);
  return text;
}

std::string links_for_programs(const Config& config)
{
  std::string text;
  for (const auto& link : config.links) {
    text += fmt::format("interface={}", link.interface);
    if (link.has_rates()) {
      const auto figures = interface_figures(link, mtu_of(link.interface));
      text += fmt::format(" side={} rate={}/{} rtt={} loss={}", name_of(*link.side), link.down_mbit, link.up_mbit,
                          link.round_trip.count(), link.loss_percent);
      text += fmt::format(" shaped_bit={} queue_bytes={} share_bytes={} buffer_bytes={} initcwnd={} initrwnd={} "
                          "flush_us={} rto_ms={} repeat_packets={} repeat_bit={} repeat_burst={}",
                          figures.shaped_bit, figures.queue_bytes, figures.share_bytes, figures.largest_buffer_bytes,
                          figures.send_window_segments, figures.receive_window_segments, figures.flush_us,
                          figures.longest_timeout_ms, figures.repeat.packets, figures.repeat.bit,
                          figures.repeat.burst_bytes);
    }
    text += '\n';
  }
  return text;
}

std::string rules_for_programs(const Config& config)
{
  std::string text;
  for (const auto& interface : intercepted_interfaces(config)) {
    text += fmt::format("intercept={}\n", interface);
  }
  text += fmt::format("port={}\nqueue={}", config.port, config.first_queue);
  if (config.last_queue != config.first_queue) {
    text += fmt::format(":{}", config.last_queue);
  }
  text += fmt::format("\nmark-shift={}\ninstance={}\n", config.marks.shift, config.instance);
  return text;
}

} // namespace pepsal
