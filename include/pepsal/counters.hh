#pragma once

#include <array>
#include <cstddef>
#include <string_view>

// Everything that PEPsal counts, one row each. The daemon's log, pepsalctl and its metrics print exactly these rows,
// and a test compares docs/OPERATING.md with them. To add a counter, add a row and count it.
namespace pepsal {

// Counters grow from the start of the daemon; the table holds their values.
//
//      enumerator and name       | metric (Prometheus)   | labels  | what it counts
// Rows of one metric stand together; their text up to the colon is the same and describes the metric.
// clang-format off
#define PEPSAL_COUNTERS(row) \
  row(packets_queued, "pepsal_packets_queued_total", "", \
      "packets that the queuers got, but for those that only show a DSCP") \
  row(verdicts_intercept, "pepsal_syns_intercepted_total", "", "SYNs steered into the proxy") \
  row(verdicts_bypass_full, "pepsal_syns_bypassed_total", "reason=\"full\"", \
      "SYNs that bypass the proxy: the table is full") \
  row(verdicts_bypass_client, "pepsal_syns_bypassed_total", "reason=\"client\"", \
      "SYNs that bypass the proxy: their client has as many connections or unfinished handshakes as one may have") \
  row(verdicts_bypass_draining, "pepsal_syns_bypassed_total", "reason=\"draining\"", \
      "SYNs that bypass the proxy: the daemon is ending") \
  row(verdicts_bypass_overloaded, "pepsal_syns_bypassed_total", "reason=\"overloaded\"", \
      "SYNs that bypass the proxy: the system has no process left, or proxies die at once") \
  row(verdicts_bypass_authentication, "pepsal_syns_bypassed_total", "reason=\"authentication\"", \
      "SYNs that bypass the proxy: signed segments (TCP-MD5, TCP-AO)") \
  row(verdicts_bypass_joining, "pepsal_syns_bypassed_total", "reason=\"joining\"", \
      "SYNs that bypass the proxy: they join a multipath connection") \
  row(verdicts_bypass_destination, "pepsal_syns_bypassed_total", "reason=\"destination\"", \
      "SYNs that bypass the proxy: to an address that no router forwards to") \
  row(verdicts_bypass_server, "pepsal_syns_bypassed_total", "reason=\"server\"", \
      "SYNs that bypass the proxy: their server was asked first and did not accept") \
  row(verdicts_bypass_waiting, "pepsal_syns_bypassed_total", "reason=\"waiting\"", \
      "SYNs that bypass the proxy: too many wait for their servers or handshakes, or the dialler was lost") \
  row(verdicts_bypass_crossing, "pepsal_syns_bypassed_total", "reason=\"crossing\"", \
      "SYNs that bypass the proxy: the other side has opened the same connection, which is served") \
  row(syns_marked_already, "pepsal_syns_marked_already_total", "", \
      "SYNs that came to the queue with a mark in the daemon's bits; they pass untouched") \
  row(syns_refreshed, "pepsal_syns_refreshed_total", "", "intercepted SYNs that were sent again") \
  row(packets_malformed, "pepsal_packets_malformed_total", "", \
      "queued packets that are no SYN that can be understood; they pass untouched") \
  row(dscp_changes, "pepsal_dscp_changes_total", "", \
      "times that packets of a connection in hand had another DSCP than before") \
  row(dials_ahead, "pepsal_dials_ahead_total", "", "servers that were asked before their client was answered") \
  row(dials_ahead_used, "pepsal_dials_ahead_used_total", "", "connections that took the leg of such a dial") \
  row(diallers_restarted, "pepsal_diallers_restarted_total", "", "diallers started again") \
  row(connections_accepted, "pepsal_connections_accepted_total", "", "connections that reached a proxy") \
  row(destinations_from_table, "pepsal_destinations_total", "source=\"table\"", \
      "where the destination of an accepted connection came from: a queuer noted it") \
  row(destinations_from_kernel, "pepsal_destinations_total", "source=\"kernel\"", \
      "where the destination of an accepted connection came from: the kernel alone, as the queuer was lost in " \
      "between or the entry expired") \
  row(direct_connections_refused, "pepsal_direct_connections_refused_total", "", "connections to the port itself") \
  row(dials_refused, "pepsal_dials_failed_total", "reason=\"refused\"", \
      "servers that no connection came about to: they refused") \
  row(dials_timed_out, "pepsal_dials_failed_total", "reason=\"timeout\"", \
      "servers that no connection came about to: they did not answer") \
  row(dials_unreachable, "pepsal_dials_failed_total", "reason=\"unreachable\"", \
      "servers that no connection came about to: no way leads there") \
  row(dials_failed, "pepsal_dials_failed_total", "reason=\"other\"", \
      "servers that no connection came about to: for another reason, which the log names") \
  row(dials_delayed, "pepsal_dials_delayed_total", "", \
      "dials that waited for the end of a connection of the same client and server") \
  row(dials_astray, "pepsal_dials_astray_total", "", \
      "dials that could not go the way of their client's packets") \
  row(source_ports_changed, "pepsal_source_ports_changed_total", "", "dials that could not keep the client's port") \
  row(source_addresses_changed, "pepsal_source_addresses_changed_total", "", \
      "dials that could not keep the client's address either") \
  row(connections_opened, "pepsal_connections_opened_total", "", "connections with both legs established") \
  row(connections_closed, "pepsal_connections_ended_total", "end=\"closed\"", \
      "connections that have ended: in good order") \
  row(connections_reset, "pepsal_connections_ended_total", "end=\"reset\"", \
      "connections that have ended: by a reset, a lost proxy or another error") \
  row(connections_timed_out, "pepsal_connections_ended_total", "end=\"timeout\"", \
      "connections that have ended: client or server had gone silent") \
  row(bytes_up, "pepsal_bytes_total", "direction=\"up\"", "bytes passed on, of ended connections: from the client") \
  row(bytes_down, "pepsal_bytes_total", "direction=\"down\"", "bytes passed on, of ended connections: to the client") \
  row(retransmissions_client, "pepsal_retransmitted_segments_total", "leg=\"client\"", \
      "segments sent again, on ended connections: to the client") \
  row(retransmissions_server, "pepsal_retransmitted_segments_total", "leg=\"server\"", \
      "segments sent again, on ended connections: to the server") \
  row(pending_expired, "pepsal_pending_expired_total", "", \
      "SYNs whose connection never came; many at once are a SYN flood") \
  row(pending_displaced, "pepsal_pending_displaced_total", "", \
      "SYNs that were forgotten before their connection came, as too many waited; a SYN flood") \
  row(slots_recovered, "pepsal_slots_recovered_total", "", "entries that dead processes left") \
  row(proxies_forked, "pepsal_proxies_forked_total", "", "proxies started") \
  row(proxies_lost, "pepsal_proxies_lost_total", "", "proxies killed or crashed") \
  row(queuers_restarted, "pepsal_queuers_restarted_total", "", "queuers started again") \
  row(forks_failed, "pepsal_forks_failed_total", "", "times that the system had no process left") \
  row(log_lines_lost, "pepsal_log_lines_lost_total", "", "lines of the log that nobody took in time") \
  row(fastopen_dials, "pepsal_fastopen_dials_total", "", "dials that carried data in the SYN") \
  row(fastopen_dials_accepted, "pepsal_fastopen_dials_accepted_total", "", \
      "dials whose data in the SYN the other box took") \
  row(fastopen_accepts, "pepsal_fastopen_accepts_total", "", "SYNs with data that this box took") \
  row(warm_connections_made, "pepsal_warm_connections_made_total", "", "warm connections made to peers") \
  row(warm_connections_used, "pepsal_warm_connections_used_total", "", "connections sent to a peer by a warm one") \
  row(warm_connections_missing, "pepsal_warm_connections_missing_total", "", \
      "connections dialled without their peer, as no warm one was ready") \
  row(warm_connections_dead, "pepsal_warm_connections_dead_total", "", \
      "warm connections that had ended when they were to be used") \
  row(warm_connections_served, "pepsal_warm_connections_served_total", "", "connections of peers' clients served") \
  row(warm_connections_refused, "pepsal_warm_connections_refused_total", "", \
      "connections refused at the warm port: source, key, header or destination")
// clang-format on

// Gauges describe the current state; TableView::value reads each from the table.
// clang-format off
#define PEPSAL_GAUGES(row) \
  row(manager_pid, "pepsal_manager_pid", "", "process to send signals to") \
  row(slots, "pepsal_slots", "", "size of the table") \
  row(max_connections, "pepsal_max_connections", "", "entries allowed in the table") \
  row(entries, "pepsal_entries", "", "entries in the table: connections, and SYNs whose connection has not come yet") \
  row(leaving, "pepsal_leaving", "", "1 once told to drain, even while the daemon still serves") \
  row(draining, "pepsal_draining", "", "1 while the daemon ends: new connections bypass") \
  row(overloaded, "pepsal_overloaded", "", "1 while the system has no process left, or proxies die at once")
// clang-format on

#define PEPSAL_ENUMERATOR(name, metric, labels, help) name,
enum class Counter : std::size_t
{
  PEPSAL_COUNTERS(PEPSAL_ENUMERATOR)
};

enum class Gauge : std::size_t
{
  PEPSAL_GAUGES(PEPSAL_ENUMERATOR)
};
#undef PEPSAL_ENUMERATOR

// A row. The Enum's value is the row's index in `counter_rows` or `gauge_rows`.
template<typename Enum> struct Statistic
{
  Enum id;
  std::string_view name;   // in pepsalctl status and in the log
  std::string_view metric; // Prometheus name; a counter's ends in _total
  std::string_view labels; // without braces; empty for none
  std::string_view help;

  // What the metric counts, which is the same for all its labels.
  constexpr std::string_view metric_help() const { return labels.empty() ? help : help.substr(0, help.find(": ")); }
};

#define PEPSAL_ROW(name, metric, labels, help) {Enum::name, #name, metric, labels, help},
inline constexpr auto counter_rows = [] {
  using Enum = Counter;
  return std::to_array<Statistic<Enum>>({PEPSAL_COUNTERS(PEPSAL_ROW)});
}();

inline constexpr auto gauge_rows = [] {
  using Enum = Gauge;
  return std::to_array<Statistic<Enum>>({PEPSAL_GAUGES(PEPSAL_ROW)});
}();
#undef PEPSAL_ROW

} // namespace pepsal
