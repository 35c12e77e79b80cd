#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "config/config.hh"
#include "manager/children.hh"
#include "manager/diallers.hh"
#include "manager/queue_watch.hh"
#include "shared/connection_table.hh"
#include "util/log.hh"

namespace pepsal {

// The queuers, one process for each NFQUEUE number of --queue, and their supervision.
class Queuers
{
public:
  using Time = std::chrono::steady_clock::time_point;

  // All must outlive it. Only what is fixed while the daemon runs is used of `config`.
  Queuers(Children& children, ConnectionTable& table, const Diallers& diallers, const FixedConfig& config);
  ~Queuers(); // ends them
  Queuers(const Queuers&) = delete;
  Queuers& operator=(const Queuers&) = delete;

  // Starts all and waits until each has its queue. Throws std::runtime_error with the queuer's message if one cannot
  // get it, SystemError if no process can be started.
  void start_all();

  void note_loss(std::uint16_t queue, std::string_view manner);
  // Restarts lost ones at once; one that cannot start is retried every second.
  void restart_lost(Time now);
  // Kills one that does nothing although packets wait for it, which makes it a lost one.
  void watch(Time now);
  Time next_watch() const { return watch_.descriptor() == -1 ? Time::max() : next_watch_; }
  QueueWatch& queue_watch() { return watch_; }
  Time next_look() const { return lost_.empty() ? Time::max() : retry_at_; }

private:
  void start(std::uint16_t queue);
  bool has_child(std::uint16_t queue) const;

  Children& children_;
  ConnectionTable& table_;
  const Diallers& diallers_;
  const FixedConfig& config_;
  std::vector<std::uint16_t> lost_; // queues, each once
  log::RateLimit failure_{std::chrono::seconds{60}};
  Time retry_at_{};
  QueueWatch watch_;
  Time next_watch_{};
};

} // namespace pepsal
