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

// The dialler, one process with --connect honest, and the sockets through which queuers and proxies talk to it.
class Diallers
{
public:
  using Time = std::chrono::steady_clock::time_point;

  // All must outlive it; `config` may change between calls.
  Diallers(Children& children, ConnectionTable& table, const Config& config, Confinement& confinement);
  ~Diallers(); // ends it
  Diallers(const Diallers&) = delete;
  Diallers& operator=(const Diallers&) = delete;

  // Forks it. Throws SystemError if no process can be started.
  void start();

  // Queuers let the SYNs that they hold bypass, and new ones until there is another dialler.
  void note_loss(bool crashed, std::string_view manner);
  void restart_lost(Time now);
  Time next_look() const { return lost_ ? retry_at_ : Time::max(); }

  // The configuration has changed: a new dialler is started with it.
  void follow() const;

  // The descriptor for the queuer of this queue; -1 without a dialler.
  int queuer_end(std::uint16_t queue) const;
  // The descriptor through which proxies ask for their legs; -1 without a dialler.
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
