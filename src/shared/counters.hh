#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace pepsal {

// Events counted in shared memory since the daemon started; pepsalctl and SIGUSR1 show them.
enum class Counter : std::size_t
{
  packets_queued,
  verdicts_intercept,
  verdicts_bypass_full,
  verdicts_bypass_draining,
  verdicts_bypass_overloaded,
  syns_refreshed,
  packets_malformed,
  connections_accepted,
  destinations_from_table,
  destinations_from_kernel,
  direct_connections_refused,
  dials_failed,
  source_ports_changed,
  source_addresses_changed,
  connections_opened,
  connections_closed,
  connections_reset,
  connections_timed_out,
  bytes_up,
  bytes_down,
  pending_expired,
  slots_recovered,
  proxies_forked,
  proxies_lost,
  queuers_restarted,
  forks_failed,
  fastopen_dials,
  fastopen_dials_accepted,
  fastopen_accepts,
  count
};

static constexpr std::array<std::string_view, static_cast<std::size_t>(Counter::count)> counter_names{
    "packets_queued",
    "verdicts_intercept",
    "verdicts_bypass_full",
    "verdicts_bypass_draining",
    "verdicts_bypass_overloaded",
    "syns_refreshed",
    "packets_malformed",
    "connections_accepted",
    "destinations_from_table",
    "destinations_from_kernel",
    "direct_connections_refused",
    "dials_failed",
    "source_ports_changed",
    "source_addresses_changed",
    "connections_opened",
    "connections_closed",
    "connections_reset",
    "connections_timed_out",
    "bytes_up",
    "bytes_down",
    "pending_expired",
    "slots_recovered",
    "proxies_forked",
    "proxies_lost",
    "queuers_restarted",
    "forks_failed",
    "fastopen_dials",
    "fastopen_dials_accepted",
    "fastopen_accepts",
};

} // namespace pepsal
