#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "dial/channel.hh"
#include "manager/children.hh"
#include "shared/connection_table.hh"

namespace pepsal {

// The dialler, of which there is one with --connect honest, and the sockets by which queuers and proxies speak with it.
class Diallers
{
public:
  using Time = std::chrono::steady_clock::time_point;

  // All must outlive it; `config` may change between calls.
  Diallers(Children& children, ConnectionTable& table, const Config& config, Confinement& confinement);
  ~Diallers(); // ends it
  Diallers(const Diallers&) = delete;
  Diallers& operator=(const Diallers&) = delete;

  // Forks it. Throws SystemError when the system has no processes.
  void start();

  // Queuers let what they hold pass, and new SYNs too until there is another dialler.
  void note_loss(bool crashed, std::string_view manner);
  void restart_lost(Time now);
  Time next_look() const { return lost_ ? retry_at_ : Time::max(); }

  // The configuration has changed: another dialler follows it.
  void follow() const;

  // The descriptor that the queuer of this queue is to have; -1: without a dialler.
  int queuer_end(std::uint16_t queue) const;
  // The descriptor by which a proxy asks for its leg; -1: without a dialler.
  int asking_end() const { return handover_ ? handover_->asking_end() : -1; }
  // In a proxy's process: that end; nothing without a dialler.
  std::optional<LegHandover> take_asking_end();

private:
  Children& children_;
  ConnectionTable& table_;
  const Config& config_;
  Confinement& confinement_;
  std::vector<DialChannel> queuers_; // in the order of the queues
  std::optional<LegHandover> handover_;
  bool lost_{};
  Time retry_at_{};
};

} // namespace pepsal
