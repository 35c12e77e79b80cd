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

// The keepers of warm connections, one for each --peer, and the queues from which proxies take these.
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

  // Reads the key; throws as PeerKey::load() does. If `kept` is not empty, it is used instead: the key as the previous
  // program in this process read it, because --user may not be allowed to read the file.
  void load_key(const std::string& kept);

  // Forks all. Throws SystemError if no process can be started.
  void start_all();

  void note_loss(std::uint16_t peer, std::string_view manner);
  // Forks lost ones again after a second; the connections they had ready wait in the queue.
  void restart_lost(Time now);
  Time next_look() const;

  // Appends to `descriptors` those from which a proxy takes warm connections.
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
