#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "config/config.hh"
#include "confine/confinement.hh"
#include "manager/children.hh"
#include "peer/peer_key.hh"
#include "peer/warm_queue.hh"
#include "shared/connection_table.hh"

namespace pepsal {

// The keepers of peers' warm connections, one for each --peer, and the queues by which proxies get them.
class Keepers
{
public:
  using Time = std::chrono::steady_clock::time_point;

  // All must outlive it. Only the peers' options and the fixed part of `config` are used.
  Keepers(Children& children, ConnectionTable& table, std::span<PeerStatus> statuses, Config config,
          Confinement& confinement);
  ~Keepers(); // ends them
  Keepers(const Keepers&) = delete;
  Keepers& operator=(const Keepers&) = delete;

  // Reads the key. Throws as PeerKey::load() does, but where `kept` is not empty: the key that a program before this
  // one in the same process has read, whose file --user may not.
  void load_key(const std::string& kept);

  // Forks all. Throws SystemError when the system has no processes.
  void start_all();

  void note_loss(std::uint16_t peer, std::string_view manner);
  // Lost ones are forked again a second later; what they had ready waits in the queue.
  void restart_lost(Time now);
  Time next_look() const;

  // The descriptors by which a proxy takes warm connections, put at the end of `descriptors`.
  void add_taking_ends(std::vector<int>& descriptors) const;
  // In a proxy's process: these queues, in the order of the options; empty without --peer.
  std::vector<WarmQueue> take_taking_ends();
  const PeerKey* key() const { return key_ ? &*key_ : nullptr; }

private:
  void start(std::uint16_t peer);

  Children& children_;
  ConnectionTable& table_;
  std::span<PeerStatus> statuses_; // by peer
  const Config config_;            // peers, interfaces and figures are those of the start
  Confinement& confinement_;
  std::optional<PeerKey> key_;
  std::vector<WarmQueue> queues_; // by peer
  std::vector<std::uint16_t> lost_;
  Time retry_at_{};
};

} // namespace pepsal
