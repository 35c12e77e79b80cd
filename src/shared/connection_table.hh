#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "pepsal/table.hh"
#include "shared/shared_segment.hh"

namespace pepsal {

BootTime boot_time_now();

// The shared connection array and its bitmap index.
//
// A bitmap word is a hash bucket: a keyed hash of the client's address and port selects one, its 64 slots hold the
// bucket's entries, and a full bucket spills into the next `max_spill` ones. A slot belongs to the process whose
// compare-and-swap of its control word succeeded; the bitmap only says where to look, and only the slot's owner sets
// and clears its bit. So a process killed between any two instructions leaves at worst a slot that names it as owner,
// which collect() frees.
//
// Every operation is lock-free and, because spilling is bounded, O(1). Any number of processes and threads may use one
// segment at once.
class ConnectionTable
{
public:
  // How many buckets past its home bucket an entry may be.
  static constexpr std::uint32_t max_spill = 15;

  // How many entries one client address and port may have. They all hash to the same bucket: without this bound, SYNs
  // from one source to a thousand servers would fill the buckets in its reach and make every search there walk through
  // them all.
  static constexpr std::uint32_t max_per_client_port = 64;

  enum class Insertion
  {
    inserted,
    refreshed,
    full
  };

  // An entry as it was when it became pending.
  struct Pending
  {
    std::uint32_t slot{};
    Control control;
  };

  // A slot owned by the holder of the claim.
  struct Claim
  {
    std::uint32_t slot{};
    Control control;
    Connection connection;
  };

  struct Collected
  {
    std::uint32_t expired;   // pending entries older than the limit
    std::uint32_t recovered; // slots of dead owners
    std::uint32_t in_use;    // entries that remain
    std::uint32_t pending;   // those of them that are pending
  };

  using Entry = TableEntry;

  // The segment must outlive the table.
  explicit ConnectionTable(const SharedSegment& segment);

  // Queuer: records a SYN. A retransmitted SYN refreshes its pending entry, which can still be claimed meanwhile unless
  // its attributes changed. `full` if the limit on connections is reached, the client has `max_per_client_port`
  // entries, or all buckets in reach are full. Unless it is full, `entry` is set to the entry.
  Insertion insert_pending(const Connection& connection, Owner queuer, BootTime now, Pending& entry);
  Insertion insert_pending(const Connection& connection, Owner queuer, BootTime now);

  // Queuer: frees an entry if it is still pending and unchanged; false if it has been claimed, refreshed or freed
  // since.
  bool displace(const Pending& entry);

  // Proxy: claims the pending entry of exactly this client and server; nothing if there is none.
  std::optional<Claim> claim(const Endpoint& client, const Endpoint& server, Owner proxy, BootTime now);

  // Proxy: adds a connection that no queuer recorded; nothing if the table is full.
  std::optional<Claim> insert_connecting(const Connection& connection, Owner proxy, BootTime now);

  // Queuer: a packet of a connection has this traffic class. Records its DSCP for the packet's direction and returns
  // whether it has changed; false also if there is no such connection. The queuer does not own the entry: what it
  // writes just as the entry ends may land in the slot's next entry, whose own packets then correct it.
  bool note_traffic_class(const Endpoint& source, const Endpoint& destination, std::uint8_t traffic_class);

  // Whether there is an entry of exactly this client and server.
  bool has(const Endpoint& client, const Endpoint& server) const;

  // Whether a process other than `self` serves a connection of exactly this client and server.
  bool is_served_by_another(const Endpoint& client, const Endpoint& server, Owner self) const;

  // Owner: both legs are established.
  void set_open(Claim& claim);

  // Owner: the byte counters of its slot, valid as long as it holds the claim.
  std::atomic<std::uint64_t>& bytes_up(const Claim& claim) { return slots_[claim.slot].bytes_up; }
  std::atomic<std::uint64_t>& bytes_down(const Claim& claim) { return slots_[claim.slot].bytes_down; }

  // Owner: the DSCP of each direction's packets, as recorded by queuers.
  const std::atomic<std::uint8_t>& dscp_up(const Claim& claim) const { return slots_[claim.slot].dscp_up; }
  const std::atomic<std::uint8_t>& dscp_down(const Claim& claim) const { return slots_[claim.slot].dscp_down; }

  // Owner: frees the slot. The claim is invalid afterwards.
  void release(const Claim& claim);

  // Manager: frees entries that became pending before `pending_before`, and slots whose owner is dead according to
  // `is_alive`; `on_recovered` is called for each connection lost this way (it may be empty). A slot left by a killed
  // collector is freed too. Corrects the count of entries. No two collections may run at once, and an owner's number
  // must not be given to another process between its death and the end of a collection.
  Collected collect(BootTime pending_before, const std::function<bool(Owner)>& is_alive,
                    const std::function<void(const Entry&)>& on_recovered = {});

  // Visits every entry in use; entries that change meanwhile may be included or not.
  template<typename Visit> void for_each(const Visit& visit) const { view_.for_each(visit); }

  std::uint32_t size() const { return view_.entries(); }
  const Header& header() const { return *header_; }
  std::span<const PeerStatus> peers() const { return view_.peers(); }
  std::uint32_t slot_count() const { return static_cast<std::uint32_t>(slots_.size()); }

  void count(Counter counter, std::uint64_t amount = 1)
  {
    activity_->counters[static_cast<std::size_t>(counter)].fetch_add(amount, std::memory_order_relaxed);
  }
  std::uint64_t counter(Counter counter) const { return view_.value(counter); }

  // For log::LossCount.
  std::atomic<std::uint64_t>& lost_log_lines()
  {
    return activity_->counters.at(static_cast<std::size_t>(Counter::log_lines_lost));
  }

  // Nothing unless a line of this kind may be logged now: one a minute, counted over all processes. Otherwise, how many
  // were held back before it.
  std::optional<std::uint64_t> may_log(LimitedLine line, BootTime now)
  {
    constexpr BootTime interval = std::chrono::minutes{1};
    const auto index = static_cast<std::size_t>(line);
    auto& logged = activity_->logged_ns.at(index);
    auto before = logged.load(std::memory_order_relaxed);
    const bool is_recent = before > 0 && before <= now.count() && now.count() - before < interval.count();
    if (!is_recent && logged.compare_exchange_strong(before, now.count(), std::memory_order_relaxed)) {
      return activity_->held_back.at(index).exchange(0, std::memory_order_relaxed);
    }
    activity_->held_back.at(index).fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }

private:
  struct Place
  {
    std::uint32_t home;
    std::uint8_t tag;
  };

  static constexpr std::uint64_t bit_of(std::uint32_t slot) { return std::uint64_t{1} << (slot % Bucket::slots); }

  Place place_of(const Endpoint& client) const;
  std::uint32_t bucket_at(std::uint32_t home, std::uint32_t distance) const { return (home + distance) & bucket_mask_; }

  // Calls `visit(slot_index)` for every slot in reach whose bit is set and whose tag matches, until it returns true;
  // returns whether it did.
  template<typename Visit> bool search(const Place& place, const Visit& visit) const;

  // A consistent copy of an entry, and the control word under which it was taken.
  struct Sighting
  {
    Control control;
    Connection connection;
    BootTime since;

    bool is_pending() const { return control.state() == SlotState::pending; }
  };
  std::optional<Sighting> sight(std::uint32_t slot, const Endpoint& client) const;
  std::optional<Control> refresh(std::uint32_t slot, const Sighting& sighting, const Connection& connection,
                                 Owner queuer, BootTime now);
  bool take(std::uint32_t slot, Control from, Control to);
  std::optional<std::uint32_t> reserve(const Place& place, Owner owner, Control& control);
  void fill(std::uint32_t slot, const Connection& connection, BootTime now);
  void set_tag(std::uint32_t slot, std::uint8_t tag);
  void expose(std::uint32_t slot);
  void clear_false_bit(std::uint32_t slot, Control free);
  void free_reserved(std::uint32_t slot, Control control);
  // How often entries were added and removed.
  struct Count
  {
    std::uint64_t added;
    std::uint64_t removed;
  };
  Count count_now() const;
  void correct_count(Count before, const Collected& collected);
  Claim claimed(std::uint32_t slot, Control control, const Connection& connection, BootTime now);

  TableView view_;
  const Header* header_;
  Activity* activity_;
  std::span<Bucket> buckets_;
  std::span<Slot> slots_;
  std::uint32_t bucket_mask_;
};

} // namespace pepsal
