// The connection array's operations. Queuers insert, proxies claim and release, the manager collects, pepsalctl reads.
// An operation either happens or reports that there is no such entry or no room; nothing here blocks, throws or waits
// for another process.
//
// The order of steps keeps the table consistent if a process is killed between two of them (docs/ARCHITECTURE.md, The
// shared table). To add an entry, reserve() takes a free slot's control word and sets its tag, fill() writes the
// record, expose() sets the bit by which it is found, and only then does the control word say pending or connecting.
// Removal goes in reverse: control word, bit, control word (free_reserved()).

#include "shared/connection_table.hh"

#include <bit>
#include <cstring>
#include <ctime>

namespace pepsal {

namespace {

// A 64-bit finaliser (Stafford's variant 13 of MurmurHash3's): each input bit flips each output bit with probability
// one half.
constexpr std::uint64_t mix(std::uint64_t x)
{
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// 0x80 in each byte of `word` that equals the byte repeated in `pattern`. The lowest such mark is exact; a higher one
// may be false, which costs a look at that slot.
constexpr std::uint64_t matching_bytes(std::uint64_t word, std::uint64_t pattern)
{
  constexpr std::uint64_t low_bits = 0x0101010101010101ULL;
  constexpr std::uint64_t high_bits = 0x8080808080808080ULL;
  const auto difference = word ^ pattern;
  return (difference - low_bits) & ~difference & high_bits;
}

} // namespace

BootTime boot_time_now()
{
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

ConnectionTable::ConnectionTable(const SharedSegment& segment)
    : view_{segment.view()}
    , header_{&segment.header()}
    , activity_{&segment.activity()}
    , buckets_{segment.buckets()}
    , slots_{segment.slots()}
    , bucket_mask_{static_cast<std::uint32_t>(buckets_.size()) - 1}
{}

ConnectionTable::Place ConnectionTable::place_of(const Endpoint& client) const
{
  std::array<std::uint64_t, 2> address{};
  static_assert(sizeof address == sizeof client.address);
  std::memcpy(address.data(), client.address.data(), sizeof address);
  const auto hash = mix(mix(address[0] ^ header_->hash_key) ^ mix(address[1] + header_->hash_key) ^ client.port);
  return {.home = static_cast<std::uint32_t>(hash) & bucket_mask_, .tag = static_cast<std::uint8_t>(hash >> 56)};
}

template<typename Visit> bool ConnectionTable::search(const Place& place, const Visit& visit) const
{
  const std::uint64_t pattern = place.tag * 0x0101010101010101ULL;
  const auto reach =
      std::min(buckets_[place.home].reach.load(std::memory_order_acquire), max_spill); // any process may write it
  for (std::uint32_t distance = 0; distance <= reach; ++distance) {
    const auto index = bucket_at(place.home, distance);
    const auto& bucket = buckets_[index];
    const auto bitmap = bucket.bitmap.load(std::memory_order_acquire);
    if (bitmap == 0) {
      continue;
    }
    for (std::uint32_t group = 0; group < bucket.tags.size(); ++group) {
      auto marks = matching_bytes(bucket.tags[group].load(std::memory_order_relaxed), pattern);
      for (; marks != 0; marks &= marks - 1) {
        const auto position = group * 8 + static_cast<std::uint32_t>(std::countr_zero(marks)) / 8;
        if ((bitmap >> position & 1U) != 0 && visit(index * static_cast<std::uint32_t>(Bucket::slots) + position)) {
          return true;
        }
      }
    }
  }
  return false;
}

std::optional<ConnectionTable::Sighting> ConnectionTable::sight(std::uint32_t slot, const Endpoint& client) const
{
  const auto& s = slots_[slot];
  for (;;) {
    const Control before{s.control.load(std::memory_order_acquire)};
    if (before.state() == SlotState::free || before.state() == SlotState::reserved) {
      return std::nullopt;
    }
    const Sighting sighting{.control = before,
                            .connection = connection_in(s),
                            .since = BootTime{s.since_ns.load(std::memory_order_acquire)}};
    // The copy is consistent if the slot has not changed: every writer changes the control word first. If it has,
    // another process was faster, perhaps only refreshing this entry: look again.
    if (s.control.load(std::memory_order_relaxed) == before.word) {
      return sighting.connection.client == client ? std::optional{sighting} : std::nullopt;
    }
  }
}

bool ConnectionTable::take(std::uint32_t slot, Control from, Control to)
{
  return slots_[slot].control.compare_exchange_strong(from.word, to.word, std::memory_order_acq_rel);
}

void ConnectionTable::fill(std::uint32_t slot, const Connection& connection, BootTime now)
{
  auto& s = slots_[slot];
  s.connection.store(connection);
  s.since_ns.store(now.count(), std::memory_order_release);
  s.bytes_up.store(0, std::memory_order_release);
  s.bytes_down.store(0, std::memory_order_release);
  s.dscp_up.store(connection.syn.dscp(), std::memory_order_release);
  s.dscp_down.store(0, std::memory_order_release);
}

void ConnectionTable::set_tag(std::uint32_t slot, std::uint8_t tag)
{
  // Only the slot's owner changes its byte, so flipping the bits that differ is exact.
  const auto shift = slot % 8 * 8;
  auto& word = buckets_[slot / Bucket::slots].tags[slot % Bucket::slots / 8];
  const auto old = static_cast<std::uint8_t>(word.load(std::memory_order_relaxed) >> shift);
  word.fetch_xor(std::uint64_t{static_cast<std::uint8_t>(old ^ tag)} << shift, std::memory_order_relaxed);
}

void ConnectionTable::expose(std::uint32_t slot)
{
  buckets_[slot / Bucket::slots].bitmap.fetch_or(bit_of(slot), std::memory_order_acq_rel);
}

std::optional<std::uint32_t> ConnectionTable::reserve(const Place& place, Owner owner, Control& control)
{
  // Removals are read after the addition is made, so the limit holds however these race.
  const auto added = activity_->entries_added.fetch_add(1, std::memory_order_acq_rel);
  const auto entries = static_cast<std::int64_t>(added - activity_->entries_removed.load(std::memory_order_acquire));
  if (entries < static_cast<std::int64_t>(header_->max_connections)) {
    for (std::uint32_t distance = 0; distance <= max_spill && distance <= bucket_mask_; ++distance) {
      const auto index = bucket_at(place.home, distance);
      auto& bucket = buckets_[index];
      for (auto candidates = ~bucket.bitmap.load(std::memory_order_acquire); candidates != 0;
           candidates &= candidates - 1) {
        const auto slot = index * static_cast<std::uint32_t>(Bucket::slots) +
                          static_cast<std::uint32_t>(std::countr_zero(candidates));
        const Control found{slots_[slot].control.load(std::memory_order_acquire)};
        const auto reserved = found.next(SlotState::reserved, owner);
        if (found.state() != SlotState::free || !take(slot, found, reserved)) {
          continue;
        }
        control = reserved;
        auto& reach = buckets_[place.home].reach;
        for (auto seen = reach.load(std::memory_order_relaxed);
             seen < distance && !reach.compare_exchange_weak(seen, distance, std::memory_order_acq_rel);) {
        }
        set_tag(slot, place.tag);
        return slot;
      }
    }
  }
  activity_->entries_removed.fetch_add(1, std::memory_order_acq_rel);
  return std::nullopt;
}

std::optional<Control> ConnectionTable::refresh(std::uint32_t slot, const Sighting& sighting,
                                                const Connection& connection, Owner queuer, BootTime now)
{
  if (sighting.connection == connection) {
    // The proxy may be looking for the entry right now, so it stays pending. If the slot has changed hands, the queuer
    // may not write the time, so it is only ever moved forward; the new generation makes a collector that still saw the
    // old time fail.
    auto& since = slots_[slot].since_ns;
    for (auto seen = since.load(std::memory_order_relaxed);
         seen < now.count() && !since.compare_exchange_weak(seen, now.count(), std::memory_order_acq_rel);) {
    }
    const auto pending = sighting.control.next(SlotState::pending, no_owner);
    return take(slot, sighting.control, pending) ? std::optional{pending} : std::nullopt;
  }
  const auto reserved = sighting.control.next(SlotState::reserved, queuer);
  if (!take(slot, sighting.control, reserved)) {
    return std::nullopt;
  }
  fill(slot, connection, now);
  const auto pending = reserved.next(SlotState::pending, no_owner);
  slots_[slot].control.store(pending.word, std::memory_order_release);
  return pending;
}

ConnectionTable::Insertion ConnectionTable::insert_pending(const Connection& connection, Owner queuer, BootTime now)
{
  Pending ignored;
  return insert_pending(connection, queuer, now, ignored);
}

ConnectionTable::Insertion ConnectionTable::insert_pending(const Connection& connection, Owner queuer, BootTime now,
                                                           Pending& entry)
{
  const auto place = place_of(connection.client);
  std::uint32_t of_client = 0;
  const bool refreshed = search(place, [&](std::uint32_t slot) {
    auto sighting = sight(slot, connection.client);
    for (; sighting && sighting->is_pending() && sighting->connection.server == connection.server;
         sighting = sight(slot, connection.client)) {
      if (const auto control = refresh(slot, *sighting, connection, queuer, now)) {
        entry = {.slot = slot, .control = *control};
        return true;
      }
    }
    of_client += sighting ? 1 : 0;
    return false;
  });
  if (refreshed) {
    return Insertion::refreshed;
  }

  Control control;
  const auto slot = of_client < max_per_client_port ? reserve(place, queuer, control) : std::nullopt;
  if (!slot) {
    return Insertion::full;
  }
  fill(*slot, connection, now);
  expose(*slot);
  entry = {.slot = *slot, .control = control.next(SlotState::pending, no_owner)};
  slots_[*slot].control.store(entry.control.word, std::memory_order_release);
  return Insertion::inserted;
}

bool ConnectionTable::displace(const Pending& entry)
{
  const auto reserved = entry.control.next(SlotState::reserved, no_owner);
  if (!take(entry.slot, entry.control, reserved)) {
    return false;
  }
  free_reserved(entry.slot, reserved);
  return true;
}

ConnectionTable::Claim ConnectionTable::claimed(std::uint32_t slot, Control control, const Connection& connection,
                                                BootTime now)
{
  slots_[slot].since_ns.store(now.count(), std::memory_order_release);
  return {.slot = slot, .control = control, .connection = connection};
}

std::optional<ConnectionTable::Claim> ConnectionTable::claim(const Endpoint& client, const Endpoint& server,
                                                             Owner proxy, BootTime now)
{
  std::optional<Claim> result;
  search(place_of(client), [&](std::uint32_t slot) {
    // Claiming it fails if another proxy or the collector was faster, or a retransmitted SYN refreshed it.
    for (auto sighting = sight(slot, client);
         sighting && sighting->is_pending() && sighting->connection.server == server; sighting = sight(slot, client)) {
      const auto connecting = sighting->control.next(SlotState::connecting, proxy);
      if (take(slot, sighting->control, connecting)) {
        result = claimed(slot, connecting, sighting->connection, now);
        return true;
      }
    }
    return false;
  });
  return result;
}

std::optional<ConnectionTable::Claim> ConnectionTable::insert_connecting(const Connection& connection, Owner proxy,
                                                                         BootTime now)
{
  const auto place = place_of(connection.client);
  std::uint32_t of_client = 0;
  search(place, [&](std::uint32_t slot) {
    of_client += sight(slot, connection.client) ? 1 : 0;
    return false;
  });
  Control control;
  const auto slot = of_client < max_per_client_port ? reserve(place, proxy, control) : std::nullopt;
  if (!slot) {
    return std::nullopt;
  }
  fill(*slot, connection, now);
  expose(*slot);
  const auto connecting = control.next(SlotState::connecting, proxy);
  slots_[*slot].control.store(connecting.word, std::memory_order_release);
  return Claim{.slot = *slot, .control = connecting, .connection = connection};
}

bool ConnectionTable::note_traffic_class(const Endpoint& source, const Endpoint& destination,
                                         std::uint8_t traffic_class)
{
  const std::uint8_t dscp = traffic_class & SynAttributes::dscp_mask;
  bool changed = false;
  const auto note = [&](const Endpoint& client, const Endpoint& server, std::atomic<std::uint8_t> Slot::*direction) {
    return search(place_of(client), [&](std::uint32_t slot) {
      const auto sighting = sight(slot, client);
      if (!sighting || sighting->connection.server != server) {
        return false;
      }
      changed = (slots_[slot].*direction).exchange(dscp, std::memory_order_relaxed) != dscp;
      return true;
    });
  };
  return (note(source, destination, &Slot::dscp_up) || note(destination, source, &Slot::dscp_down)) && changed;
}

bool ConnectionTable::has(const Endpoint& client, const Endpoint& server) const
{
  return search(place_of(client), [&](std::uint32_t slot) {
    const auto sighting = sight(slot, client);
    return sighting && sighting->connection.server == server;
  });
}

bool ConnectionTable::is_served_by_another(const Endpoint& client, const Endpoint& server, Owner self) const
{
  return search(place_of(client), [&](std::uint32_t slot) {
    const auto sighting = sight(slot, client);
    return sighting && !sighting->is_pending() && sighting->control.owner() != self &&
           sighting->connection.server == server;
  });
}

void ConnectionTable::set_open(Claim& claim)
{
  const auto open = claim.control.next(SlotState::open, claim.control.owner());
  if (take(claim.slot, claim.control, open)) {
    claim.control = open;
  }
}

void ConnectionTable::free_reserved(std::uint32_t slot, Control control)
{
  // Bit first, owner last: a process killed in between leaves a slot that still names it as owner.
  buckets_[slot / Bucket::slots].bitmap.fetch_and(~bit_of(slot), std::memory_order_acq_rel);
  slots_[slot].control.store(control.next(SlotState::free, no_owner).word, std::memory_order_release);
  activity_->entries_removed.fetch_add(1, std::memory_order_acq_rel);
}

void ConnectionTable::release(const Claim& claim)
{
  const auto reserved = claim.control.next(SlotState::reserved, claim.control.owner());
  if (take(claim.slot, claim.control, reserved)) {
    free_reserved(claim.slot, reserved);
  }
}

} // namespace pepsal
