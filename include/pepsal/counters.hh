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
      "packets received by the queuers, except those that only show a DSCP") \
  row(verdicts_intercept, "pepsal_syns_intercepted_total", "", "SYNs steered into the proxy") \
  row(verdicts_bypass_full, "pepsal_syns_bypassed_total", "reason=\"full\"", \
      "SYNs that bypass the proxy: the table is full") \
  row(verdicts_bypass_client, "pepsal_syns_bypassed_total", "reason=\"client\"", \
      "SYNs that bypass the proxy: their client has reached its limit of connections or unfinished handshakes") \
  row(verdicts_bypass_draining, "pepsal_syns_bypassed_total", "reason=\"draining\"", \
      "SYNs that bypass the proxy: the daemon is draining") \
  row(verdicts_bypass_overloaded, "pepsal_syns_bypassed_total", "reason=\"overloaded\"", \
      "SYNs that bypass the proxy: no process can be started, or proxies die at once") \
  row(verdicts_bypass_authentication, "pepsal_syns_bypassed_total", "reason=\"authentication\"", \
      "SYNs that bypass the proxy: they ask for signed segments (TCP-MD5, TCP-AO)") \
  row(verdicts_bypass_joining, "pepsal_syns_bypassed_total", "reason=\"joining\"", \
      "SYNs that bypass the proxy: they join a multipath connection") \
  row(verdicts_bypass_destination, "pepsal_syns_bypassed_total", "reason=\"destination\"", \
      "SYNs that bypass the proxy: they are for an address that no router forwards to") \
  row(verdicts_bypass_server, "pepsal_syns_bypassed_total", "reason=\"server\"", \
      "SYNs that bypass the proxy: their server was dialled first and did not accept") \
  row(verdicts_bypass_waiting, "pepsal_syns_bypassed_total", "reason=\"waiting\"", \
      "SYNs that bypass the proxy: too many are waiting for their servers or handshakes, or the dialler died") \
  row(verdicts_bypass_crossing, "pepsal_syns_bypassed_total", "reason=\"crossing\"", \
      "SYNs that bypass the proxy: the other side opened the same connection first, and it is proxied") \
  row(syns_marked_already, "pepsal_syns_marked_already_total", "", \
      "SYNs that reached the queue with the daemon's mark bits already set; they pass untouched") \
  row(syns_refreshed, "pepsal_syns_refreshed_total", "", "retransmissions of intercepted SYNs") \
  row(packets_malformed, "pepsal_packets_malformed_total", "", \
      "queued packets that cannot be parsed as a SYN; they pass untouched") \
  row(dscp_changes, "pepsal_dscp_changes_total", "", "times that the DSCP of a proxied connection changed") \
  row(dials_ahead, "pepsal_dials_ahead_total", "", "servers dialled before their client was answered") \
  row(dials_ahead_used, "pepsal_dials_ahead_used_total", "", "connections that used the socket of such a dial") \
  row(diallers_restarted, "pepsal_diallers_restarted_total", "", "diallers restarted") \
  row(connections_accepted, "pepsal_connections_accepted_total", "", "connections that reached a proxy") \
  row(destinations_from_table, "pepsal_destinations_total", "source=\"table\"", \
      "accepted connections, by the source of their destination: the table, where a queuer noted it") \
  row(destinations_from_kernel, "pepsal_destinations_total", "source=\"kernel\"", \
      "accepted connections, by the source of their destination: the kernel alone, as the queuer had died or the " \
      "entry had expired") \
  row(direct_connections_refused, "pepsal_direct_connections_refused_total", "", \
      "connections refused because they were not redirected or were for this box itself") \
  row(dials_refused, "pepsal_dials_failed_total", "reason=\"refused\"", "dials that failed: the server refused") \
  row(dials_timed_out, "pepsal_dials_failed_total", "reason=\"timeout\"", \
      "dials that failed: the server did not answer") \
  row(dials_unreachable, "pepsal_dials_failed_total", "reason=\"unreachable\"", \
      "dials that failed: the server is unreachable") \
  row(dials_failed, "pepsal_dials_failed_total", "reason=\"other\"", \
      "dials that failed: for another reason, which the log names") \
  row(dials_delayed, "pepsal_dials_delayed_total", "", \
      "dials that waited for an earlier connection with the same endpoints to end") \
  row(dials_astray, "pepsal_dials_astray_total", "", "dials that could not take the route of their client's packets") \
  row(source_ports_changed, "pepsal_source_ports_changed_total", "", "dials that could not keep the client's port") \
  row(source_addresses_changed, "pepsal_source_addresses_changed_total", "", \
      "dials that could keep neither the client's port nor its address") \
  row(connections_opened, "pepsal_connections_opened_total", "", "connections with both legs established") \
  row(connections_closed, "pepsal_connections_ended_total", "end=\"closed\"", "connections that have ended: normally") \
  row(connections_reset, "pepsal_connections_ended_total", "end=\"reset\"", \
      "connections that have ended: by a reset, a lost proxy or another error") \
  row(connections_timed_out, "pepsal_connections_ended_total", "end=\"timeout\"", \
      "connections that have ended: the client or server had stopped answering") \
  row(bytes_up, "pepsal_bytes_total", "direction=\"up\"", "bytes passed on: from the client") \
  row(bytes_down, "pepsal_bytes_total", "direction=\"down\"", "bytes passed on: to the client") \
  row(retransmissions_client, "pepsal_retransmitted_segments_total", "leg=\"client\"", \
      "retransmitted segments: to the client") \
  row(retransmissions_server, "pepsal_retransmitted_segments_total", "leg=\"server\"", \
      "retransmitted segments: to the server") \
  row(pending_expired, "pepsal_pending_expired_total", "", \
      "SYNs whose handshake was never completed; many at once mean a SYN flood") \
  row(pending_displaced, "pepsal_pending_displaced_total", "", \
      "SYNs forgotten before their handshake was completed, because too many were waiting; a SYN flood") \
  row(slots_recovered, "pepsal_slots_recovered_total", "", "table entries freed after their process died") \
  row(proxies_forked, "pepsal_proxies_forked_total", "", "proxies started") \
  row(proxies_lost, "pepsal_proxies_lost_total", "", "proxies killed or crashed") \
  row(queuers_restarted, "pepsal_queuers_restarted_total", "", "queuers restarted") \
  row(forks_failed, "pepsal_forks_failed_total", "", "times that no process could be started") \
  row(log_lines_lost, "pepsal_log_lines_lost_total", "", "log lines dropped because nobody read them in time") \
  row(fastopen_dials, "pepsal_fastopen_dials_total", "", "dials that carried data in the SYN") \
  row(fastopen_dials_accepted, "pepsal_fastopen_dials_accepted_total", "", \
      "dials whose data in the SYN the other side accepted") \
  row(fastopen_accepts, "pepsal_fastopen_accepts_total", "", "SYNs whose data this box accepted") \
  row(warm_connections_made, "pepsal_warm_connections_made_total", "", "warm connections made to peers") \
  row(warm_connections_used, "pepsal_warm_connections_used_total", "", "connections sent to a peer over a warm one") \
  row(warm_connections_missing, "pepsal_warm_connections_missing_total", "", \
      "connections dialled without their peer, because no warm one was ready") \
  row(warm_connections_dead, "pepsal_warm_connections_dead_total", "", \
      "warm connections found dead when they were needed") \
  row(warm_connections_served, "pepsal_warm_connections_served_total", "", "connections served for peers' clients") \
  row(warm_connections_refused, "pepsal_warm_connections_refused_total", "", \
      "connections refused at the warm port: source, key, header or destination")
// clang-format on

// Gauges describe the current state; TableView::value reads each from the table.
// clang-format off
#define PEPSAL_GAUGES(row) \
  row(manager_pid, "pepsal_manager_pid", "", "process to send signals to") \
  row(slots, "pepsal_slots", "", "size of the table") \
  row(max_connections, "pepsal_max_connections", "", "entries allowed in the table") \
  row(entries, "pepsal_entries", "", \
      "entries in the table: connections, and SYNs whose handshake is not complete yet") \
  row(leaving, "pepsal_leaving", "", "1 once told to drain, even while the daemon is still serving") \
  row(draining, "pepsal_draining", "", "1 while the daemon is draining: new connections bypass") \
  row(overloaded, "pepsal_overloaded", "", "1 while no process can be started, or proxies die at once")
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
