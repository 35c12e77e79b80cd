#pragma once

#include <array>
#include <cstddef>
#include <string_view>

// What pepsalctl metrics prints in addition to the rows of include/pepsal/counters.hh: figures derived from the table
// as a whole, the kernel and the box. One row each; a test compares docs/OPERATING.md with them.
namespace pepsal {

//      metric (Prometheus)               | type     | help
// clang-format off
#define PEPSAL_METRICS(row) \
  row(pepsal_up, gauge, "1 while the daemon runs") \
  row(pepsal_ready, gauge, "1 while new connections are accelerated, as pepsalctl health says") \
  row(pepsal_connections, gauge, "entries in the table, by state") \
  row(pepsal_interface_connections, gauge, "entries in the table, by the interface that their SYN arrived on") \
  row(pepsal_free_entries, gauge, "entries that still fit into the table before connections bypass the proxy") \
  row(pepsal_processes, gauge, "processes of the daemon, by role and state") \
  row(pepsal_free_processes, gauge, "processes that the daemon can still start, by the system's tightest limit") \
  row(pepsal_rtt_seconds, histogram, "smoothed round trips of the legs of running connections") \
  row(pepsal_queued_bytes, gauge, \
      "bytes in the box: not yet read by the proxy, or not yet acknowledged by the receiver") \
  row(pepsal_nfqueue_waiting_packets, gauge, "packets waiting for their queuer") \
  row(pepsal_nfqueue_dropped_packets_total, counter, "packets that netfilter dropped before the queuer got them") \
  row(pepsal_shaper_rate_bytes_per_second, gauge, "rate of the interface's shaper; only HTB reports it") \
  row(pepsal_shaper_sent_bytes_total, counter, "bytes sent by the interface's shaper") \
  row(pepsal_shaper_dropped_packets_total, counter, "packets dropped by the interface's shaper or a queue below it") \
  row(pepsal_shaper_queued_bytes, gauge, "bytes waiting in the interface's shaper") \
  row(pepsal_shaper_queued_packets, gauge, "packets waiting in the interface's shaper") \
  row(pepsal_peer_up, gauge, "1 while the peer answers") \
  row(pepsal_peer_warm_connections, gauge, "warm connections to the peer that are ready") \
  row(pepsal_peer_warm_connections_wanted, gauge, "warm connections to the peer that should be ready")
// clang-format on

#define PEPSAL_ENUMERATOR(name, type, help) name,
enum class Metric : std::size_t
{
  PEPSAL_METRICS(PEPSAL_ENUMERATOR)
};
#undef PEPSAL_ENUMERATOR

struct MetricRow
{
  std::string_view name;
  std::string_view type;
  std::string_view help;
};

#define PEPSAL_ROW(name, type, help) {#name, #type, help},
inline constexpr auto metric_rows = std::to_array<MetricRow>({PEPSAL_METRICS(PEPSAL_ROW)}); // by Metric
#undef PEPSAL_ROW

} // namespace pepsal
