// The connection array's operations. Queuers insert, proxies claim and release, the manager
// collects, pepsalctl looks. An operation either happens or reports that there is no such entry or no
// room; nothing here blocks, throws or waits for another process.

#include "pepsal/table/connection_table.hh"

#include <bit>
#include <cassert>
#include <cstring>
#include <ctime>

namespace pepsal {

namespace {

// A 64-bit finaliser (Stafford's variant 13 of MurmurHash3's): each input bit flips each output bit
// with probability one half.
constexpr std::uint64_t mix(std::uint64_t x)
{
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// 0x80 in each byte of `word` that equals the byte repeated in `pattern`. The lowest such mark is
// exact; a higher one may be false, which costs a look at that slot.
constexpr std::uint64_t matching_bytes(std::uint64_t word, std::uint64_t pattern)
{
  constexpr std::uint64_t low_bits = 0x0101010101010101ULL;
  constexpr std::uint64_t high_bits = 0x8080808080808080ULL;
  const auto difference = word ^ pattern;
  return (difference - low_bits) & ~difference & high_bits;
}

constexpr std::uint64_t bit_of(std::uint32_t slot)
{
  return std::uint64_t{1} << (slot % Bucket::slots);
}

} // namespace

BootTime boot_time_now()
{
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

ConnectionTable::ConnectionTable(const SharedSegment& segment)
    : header_{&segment.header()}
    , buckets_{segment.buckets()}
    , slots_{segment.slots()}
    , bucket_mask_{segment.header().buckets - 1}
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
  const auto reach = buckets_[place.home].reach.load(std::memory_order_acquire);
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

std::optional<ConnectionTable::Sighting> ConnectionTable::sight_pending(std::uint32_t slot,
                                                                        const Endpoint& client) const
{
  const auto& s = slots_[slot];
  const Control before{s.control.load(std::memory_order_acquire)};
  if (before.state() != SlotState::pending) {
    return std::nullopt;
  }
  Sighting sighting{.control = before,
                    .connection = s.connection.load(),
                    .since = BootTime{s.since_ns.load(std::memory_order_acquire)}};
  // The copy is whole if nobody took the slot meanwhile: every writer moves the control word first.
  if (s.control.load(std::memory_order_relaxed) != before.word || sighting.connection.client != client) {
    return std::nullopt;
  }
  return sighting;
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
  if (header_->entries.fetch_add(1, std::memory_order_relaxed) < static_cast<std::int64_t>(header_->max_connections)) {
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
  header_->entries.fetch_sub(1, std::memory_order_relaxed);
  return std::nullopt;
}

ConnectionTable::Insertion ConnectionTable::insert_pending(const Connection& connection, Owner queuer, BootTime now)
{
  const auto place = place_of(connection.client);
  const bool refreshed = search(place, [&](std::uint32_t slot) {
    const auto sighting = sight_pending(slot, connection.client);
    if (!sighting || sighting->connection.server != connection.server) {
      return false;
    }
    const auto reserved = sighting->control.next(SlotState::reserved, queuer);
    if (!take(slot, sighting->control, reserved)) {
      return false; // claimed or collected in this moment: the SYN is noted anew
    }
    fill(slot, connection, now);
    slots_[slot].control.store(reserved.next(SlotState::pending, no_owner).word, std::memory_order_release);
    return true;
  });
  if (refreshed) {
    return Insertion::refreshed;
  }

  Control control;
  const auto slot = reserve(place, queuer, control);
  if (!slot) {
    return Insertion::full;
  }
  fill(*slot, connection, now);
  expose(*slot);
  slots_[*slot].control.store(control.next(SlotState::pending, no_owner).word, std::memory_order_release);
  return Insertion::inserted;
}

ConnectionTable::Claim ConnectionTable::claimed(std::uint32_t slot, Control control, const Connection& connection,
                                                BootTime now)
{
  slots_[slot].since_ns.store(now.count(), std::memory_order_relaxed);
  return {.slot = slot, .control = control, .connection = connection};
}

std::optional<ConnectionTable::Claim> ConnectionTable::claim(const Endpoint& client, const Endpoint& server,
                                                             Owner proxy, BootTime now)
{
  std::optional<Claim> result;
  search(place_of(client), [&](std::uint32_t slot) {
    const auto sighting = sight_pending(slot, client);
    if (!sighting || sighting->connection.server != server) {
      return false;
    }
    const auto connecting = sighting->control.next(SlotState::connecting, proxy);
    if (!take(slot, sighting->control, connecting)) {
      return false;
    }
    result = claimed(slot, connecting, sighting->connection, now);
    return true;
  });
  return result;
}

std::optional<ConnectionTable::Claim> ConnectionTable::claim_newest(const Endpoint& client, Owner proxy, BootTime now)
{
  // Losing a race for the newest entry means that another proxy or the collector took it; the next
  // round looks again, and each lost round is another's success, so this ends.
  for (;;) {
    std::optional<Sighting> newest;
    std::uint32_t newest_slot = 0;
    search(place_of(client), [&](std::uint32_t slot) {
      const auto sighting = sight_pending(slot, client);
      if (sighting && (!newest || sighting->since > newest->since)) {
        newest = sighting;
        newest_slot = slot;
      }
      return false;
    });
    if (!newest) {
      return std::nullopt;
    }
    const auto connecting = newest->control.next(SlotState::connecting, proxy);
    if (take(newest_slot, newest->control, connecting)) {
      return claimed(newest_slot, connecting, newest->connection, now);
    }
  }
}

std::optional<ConnectionTable::Claim> ConnectionTable::insert_connecting(const Connection& connection, Owner proxy,
                                                                         BootTime now)
{
  Control control;
  const auto slot = reserve(place_of(connection.client), proxy, control);
  if (!slot) {
    return std::nullopt;
  }
  fill(*slot, connection, now);
  expose(*slot);
  const auto connecting = control.next(SlotState::connecting, proxy);
  slots_[*slot].control.store(connecting.word, std::memory_order_release);
  return Claim{.slot = *slot, .control = connecting, .connection = connection};
}

void ConnectionTable::set_open(Claim& claim)
{
  claim.control = claim.control.next(SlotState::open, claim.control.owner());
  slots_[claim.slot].control.store(claim.control.word, std::memory_order_release);
}

void ConnectionTable::free_reserved(std::uint32_t slot, Control control)
{
  // Bit first, owner last: whoever is killed in between leaves a slot that still names its owner.
  buckets_[slot / Bucket::slots].bitmap.fetch_and(~bit_of(slot), std::memory_order_acq_rel);
  slots_[slot].control.store(control.next(SlotState::free, no_owner).word, std::memory_order_release);
  header_->entries.fetch_sub(1, std::memory_order_relaxed);
}

void ConnectionTable::release(const Claim& claim)
{
  assert(slots_[claim.slot].control.load(std::memory_order_relaxed) == claim.control.word);
  const auto reserved = claim.control.next(SlotState::reserved, claim.control.owner());
  slots_[claim.slot].control.store(reserved.word, std::memory_order_release);
  free_reserved(claim.slot, reserved);
}

ConnectionTable::Entry ConnectionTable::observe(std::uint32_t slot, Control control) const
{
  const auto& s = slots_[slot];
  return {.state = control.state(),
          .owner = control.owner(),
          .since = BootTime{s.since_ns.load(std::memory_order_acquire)},
          .connection = s.connection.load(),
          .bytes_up = s.bytes_up.load(std::memory_order_relaxed),
          .bytes_down = s.bytes_down.load(std::memory_order_relaxed)};
}

ConnectionTable::Collected ConnectionTable::collect(BootTime pending_before, const std::function<bool(Owner)>& is_alive,
                                                    const std::function<void(const Entry&)>& on_recovered)
{
  Collected result{};
  // Control words, not bits, are walked: an owner killed just before setting or just after clearing
  // its bit left a slot that the bitmap does not show.
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    const Control control{slots_[slot].control.load(std::memory_order_acquire)};
    if (control.state() == SlotState::free) {
      continue;
    }
    ++result.in_use;
    const bool expired = control.state() == SlotState::pending &&
                         slots_[slot].since_ns.load(std::memory_order_relaxed) < pending_before.count();
    const bool orphaned = control.state() != SlotState::pending && !is_alive(control.owner());
    result.pending += control.state() == SlotState::pending && !expired ? 1 : 0;
    if (!expired && !orphaned) {
      continue;
    }
    const auto entry = observe(slot, control);
    const auto reserved = control.next(SlotState::reserved, no_owner);
    if (!take(slot, control, reserved)) {
      continue; // claimed or refreshed at the last moment
    }
    if (orphaned && on_recovered && control.state() != SlotState::reserved) {
      on_recovered(entry);
    }
    free_reserved(slot, reserved);
    --result.in_use;
    ++(expired ? result.expired : result.recovered);
  }
  // Killed processes may have counted an entry in or out without the other half of the act.
  header_->entries.store(static_cast<std::int32_t>(result.in_use), std::memory_order_relaxed);
  return result;
}

void ConnectionTable::for_each(const std::function<void(const Entry&)>& visit) const
{
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    const Control before{slots_[slot].control.load(std::memory_order_acquire)};
    if (before.state() == SlotState::free || before.state() == SlotState::reserved) {
      continue;
    }
    const auto entry = observe(slot, before);
    if (slots_[slot].control.load(std::memory_order_relaxed) == before.word) {
      visit(entry);
    }
  }
}

} // namespace pepsal
