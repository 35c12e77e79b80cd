// Collection of the table, and closing lines for connections whose proxies could not write them. Called by the manager
// periodically and after each death. Cannot fail.

#include "manager/collector.hh"

#include "util/endpoint.hh"
#include "util/log.hh"

namespace pepsal {

void Collector::collect(std::chrono::seconds lifetime, std::string_view reason, bool log)
{
  const auto collected = table_.collect(
      boot_time_now() - lifetime, [this](Owner owner) { return children_.is_alive(owner); },
      [&](const ConnectionTable::Entry& entry) { note_lost(entry, reason, log); });
  children_.forget_dead();
  std::erase_if(killed_, [this](Owner owner) { return !children_.is_alive(owner); });
  table_.count(Counter::pending_expired, collected.expired);
  table_.count(Counter::slots_recovered, collected.recovered);
  pending_ = collected.pending;
}

void Collector::note_lost(const ConnectionTable::Entry& entry, std::string_view reason, bool log)
{
  if (!children_.is_dead(entry.owner)) {
    return; // no real connection: a compromised process has written there
  }
  table_.count(Counter::connections_reset);
  table_.count(Counter::bytes_up, entry.bytes_up);
  table_.count(Counter::bytes_down, entry.bytes_down);
  if (!log) {
    return;
  }
  const auto duration = seconds_between(entry.since, boot_time_now());
  log::info("closed client={} server={} up={} down={} duration={:.3f} reason={}", entry.connection.client,
            entry.connection.server, entry.bytes_up, entry.bytes_down, duration.count(),
            is_killed(entry.owner) ? "killed-by-command" : reason);
}

} // namespace pepsal
