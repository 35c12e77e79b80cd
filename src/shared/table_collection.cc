// The manager's part of the connection array: frees what dead owners and clients that never came have left, and
// corrects what a killed or compromised process has left wrong. Nothing here blocks or waits for another process.

#include <chrono>

#include "shared/connection_table.hh"

namespace pepsal {

ConnectionTable::Count ConnectionTable::count_now() const
{
  Count result{};
  result.removed = activity_->entries_removed.load(std::memory_order_acquire);
  result.added = activity_->entries_added.load(std::memory_order_acquire);
  return result;
}

// A process killed between an operation and counting it leaves the count wrong. While the collector found `in_use`
// entries one after the other, other processes made a number of changes, and the true figure differs from `in_use` by
// at most that number: only a deviation of the count beyond it is certainly wrong, and is corrected.
void ConnectionTable::correct_count(Count before, const Collected& collected)
{
  const auto now = count_now();
  const auto changes = now.added - before.added + now.removed - before.removed;
  const auto doubtful = changes - collected.expired - collected.recovered;
  const auto error = now.added - now.removed - collected.in_use; // unsigned, as the counts may be anything
  const bool too_many = static_cast<std::int64_t>(error) > 0;
  if (too_many && error > doubtful) {
    activity_->entries_removed.fetch_add(error - doubtful, std::memory_order_acq_rel);
  } else if (!too_many && 0 - error > doubtful) {
    activity_->entries_added.fetch_add(0 - error - doubtful, std::memory_order_acq_rel);
  }
}

// A free slot whose bit is set is lost for good. No order of operations produces one, but a compromised process may.
void ConnectionTable::clear_false_bit(std::uint32_t slot, Control free)
{
  auto& bitmap = buckets_[slot / Bucket::slots].bitmap;
  const auto reserved = free.next(SlotState::reserved, no_owner);
  if ((bitmap.load(std::memory_order_acquire) & bit_of(slot)) != 0 && take(slot, free, reserved)) {
    bitmap.fetch_and(~bit_of(slot), std::memory_order_acq_rel);
    slots_[slot].control.store(reserved.next(SlotState::free, no_owner).word, std::memory_order_release);
  }
}

ConnectionTable::Collected ConnectionTable::collect(BootTime pending_before, const std::function<bool(Owner)>& is_alive,
                                                    const std::function<void(const Entry&)>& on_recovered)
{
  const auto far_future = boot_time_now() + std::chrono::hours{24}; // no queuer wrote that
  Collected result{};
  const auto count_before = count_now();
  // Walks control words, not bits: an owner killed just before setting or just after clearing its bit has left a slot
  // that the bitmap does not show.
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    const Control control{slots_[slot].control.load(std::memory_order_acquire)};
    if (control.state() == SlotState::free) {
      clear_false_bit(slot, control);
      continue;
    }
    ++result.in_use;
    const BootTime since{slots_[slot].since_ns.load(std::memory_order_relaxed)};
    const bool expired = control.state() == SlotState::pending && (since < pending_before || since > far_future);
    const bool orphaned =
        control.state() != SlotState::pending && (control.owner() == no_owner || !is_alive(control.owner()));
    result.pending += control.state() == SlotState::pending && !expired ? 1 : 0;
    if (!expired && !orphaned) {
      continue;
    }
    const auto entry = TableView::observe(slots_[slot], control);
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
  correct_count(count_before, result);
  return result;
}

} // namespace pepsal
