#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "shared/connection.hh"
#include "shared/counters.hh"

// The fixed layout of the shared memory that queuers, manager, proxies and pepsalctl map. All that
// two processes may touch at once is a lock-free atomic, so a process may be killed anywhere and
// leaves nothing locked. Any change here raises `layout_version`.
namespace pepsal {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint8_t>::is_always_lock_free);

static constexpr std::uint64_t layout_magic = 0x6c61537045500a1aULL;
static constexpr std::uint32_t layout_version = 1;

// Index into the roster of processes; `no_owner` for a slot that nobody holds.
using Owner = std::uint32_t;
static constexpr Owner no_owner = 0;

enum class SlotState : std::uint8_t
{
  free,       // nobody's
  reserved,   // its owner is writing or clearing it; contents mean nothing
  pending,    // annotated by a queuer; belongs to nobody, expires
  connecting, // claimed by the proxy that owns it, which dials
  open,       // both legs are established
};

// A slot's state, its owner and a generation, in one word, so that one compare-and-swap moves a slot
// from one owner to the next and a reader notices reuse.
struct Control
{
  static constexpr unsigned state_bits = 4;
  static constexpr unsigned owner_bits = 20;
  static constexpr Owner owner_limit = Owner{1} << owner_bits;

  std::uint64_t word{};

  SlotState state() const { return static_cast<SlotState>(word & 0xfU); }
  Owner owner() const { return static_cast<Owner>(word >> state_bits) & (owner_limit - 1); }

  // The word that follows this one when the slot goes over to `state` and `owner`.
  Control next(SlotState state, Owner owner) const
  {
    const auto generation = (word >> (state_bits + owner_bits)) + 1;
    return {(generation << (state_bits + owner_bits)) | (std::uint64_t{owner} << state_bits) |
            static_cast<std::uint64_t>(state)};
  }

  bool operator==(const Control&) const = default;
};

// A trivially copyable T of which a reader may take a copy while a writer writes. Word-wise atomics
// make that no data race; the slot's control word, read before and after, tells whether the copy is
// whole: each store comes after the writer's change of it, each load before the reader's second look.
template<typename T> class TornRecord
{
public:
  void store(const T& value)
  {
    std::array<std::uint64_t, words> image{};
    std::memcpy(image.data(), &value, sizeof value);
    for (std::size_t i = 0; i < words; ++i) {
      words_[i].store(image[i], std::memory_order_release);
    }
  }

  T load() const
  {
    std::array<std::uint64_t, words> image{};
    for (std::size_t i = 0; i < words; ++i) {
      image[i] = words_[i].load(std::memory_order_acquire);
    }
    T value{};
    std::memcpy(static_cast<void*>(&value), image.data(), sizeof value);
    return value;
  }

private:
  static_assert(std::is_trivially_copyable_v<T>);
  static constexpr std::size_t words = (sizeof(T) + 7) / 8;

  std::array<std::atomic<std::uint64_t>, words> words_{};
};

struct alignas(128) Slot
{
  std::atomic<std::uint64_t> control;
  std::atomic<std::int64_t> since_ns; // CLOCK_BOOTTIME at which it became pending, later at which it was claimed
  TornRecord<Connection> connection;
  std::atomic<std::uint64_t> bytes_up;   // client to server, written to the server leg
  std::atomic<std::uint64_t> bytes_down; // server to client, written to the client leg
};
static_assert(sizeof(Slot) == 128);

// One word of the bitmap index with what is needed to search its 64 slots without touching them.
struct alignas(128) Bucket
{
  static constexpr std::size_t slots = 64;

  std::atomic<std::uint64_t> bitmap;                      // bit set: slot may be searched
  std::array<std::atomic<std::uint64_t>, slots / 8> tags; // eight one-byte tags a word
  std::atomic<std::uint32_t> reach;                       // how far entries of this home bucket ever spilled
};
static_assert(sizeof(Bucket) == 128);

// What a process of this instance is doing.
enum class ProcessState : std::uint8_t
{
  none,
  starting,
  idle,
  busy,
  queuer
};

struct RosterEntry
{
  std::atomic<std::int32_t> pid;
  std::atomic<std::int64_t> started_ns; // CLOCK_BOOTTIME; with the pid, a process's identity
};

struct Header
{
  std::atomic<std::uint64_t> magic; // written last
  std::uint32_t version;
  std::uint32_t buckets; // a power of two
  std::uint32_t roster_capacity;
  std::uint64_t hash_key;
  std::atomic<std::uint32_t> max_connections; // the limit on entries
  std::atomic<std::uint64_t> entries_added;   // slots in use are these
  std::atomic<std::uint64_t> entries_removed; // less these, but for what a killed process left half counted
  std::atomic<std::int32_t> manager_pid;
  std::atomic<bool> draining;   // the daemon is ending: new connections bypass
  std::atomic<bool> overloaded; // no more processes to be had: new connections bypass
  std::array<std::atomic<std::uint64_t>, counter_names.size()> counters;
};

} // namespace pepsal
