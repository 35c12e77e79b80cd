#pragma once

#include <chrono>
#include <functional>
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

  // All must outlive it; `config` may change between calls. A dialler begins with `let_go`, which closes what is the
  // manager's alone.
  Diallers(Children& children, ConnectionTable& table, const Config& config, Confinement& confinement,
           std::function<void()> let_go);
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
  // For proxies; nullptr: without a dialler.
  const LegHandover* handover() const { return handover_ ? &*handover_ : nullptr; }

  // In a proxy's process: closes all but what that asks by.
  void keep_asking_end();
  // In any other child's: closes all.
  void let_go();

private:
  Children& children_;
  ConnectionTable& table_;
  const Config& config_;
  Confinement& confinement_;
  std::function<void()> let_go_;
  std::vector<DialChannel> queuers_; // in the order of the queues
  std::optional<LegHandover> handover_;
  bool lost_{};
  Time retry_at_{};
};

} // namespace pepsal
