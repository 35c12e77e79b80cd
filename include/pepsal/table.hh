#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <type_traits>

#include "pepsal/connection.hh"
#include "pepsal/counters.hh"
#include "pepsal/peer_status.hh"
#include "pepsal/shared_flag.hh"

// The fixed layout of the shared memory that queuers, manager, proxies and pepsalctl map, and TableView, which reads
// it. Everything that two processes may access at once is a lock-free atomic, so a process can be killed at any point
// and leaves nothing locked. Any change to the layout, including the counters and their order, must raise
// `layout_version`.
namespace pepsal {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint8_t>::is_always_lock_free);

static constexpr std::uint64_t layout_magic = 0x6c61537045500a1aULL;
static constexpr std::uint32_t layout_version = 9;

// Index into the roster of processes; `no_owner` for a slot that nobody owns.
using Owner = std::uint32_t;
static constexpr Owner no_owner = 0;

enum class SlotState : std::uint8_t
{
  free,       // not in use
  reserved,   // its owner is writing or clearing it; the contents are meaningless
  pending,    // annotated by a queuer; has no owner and expires
  connecting, // claimed by the proxy that owns it, which is dialling
  open,       // both legs are established
};

// A slot's state, its owner and a generation in one word, so that one compare-and-swap moves a slot from one owner to
// the next and a reader notices reuse.
struct Control
{
  static constexpr unsigned state_bits = 4;
  static constexpr unsigned owner_bits = 20;
  static constexpr Owner owner_limit = Owner{1} << owner_bits;

  std::uint64_t word{};

  SlotState state() const { return static_cast<SlotState>(word & 0xfU); }
  Owner owner() const { return static_cast<Owner>(word >> state_bits) & (owner_limit - 1); }

  // The word that follows this one when the slot passes to `state` and `owner`.
  Control next(SlotState state, Owner owner) const
  {
    const auto generation = (word >> (state_bits + owner_bits)) + 1;
    return {(generation << (state_bits + owner_bits)) | (std::uint64_t{owner} << state_bits) |
            static_cast<std::uint64_t>(state)};
  }

  bool operator==(const Control&) const = default;
};

// A trivially copyable T that a reader may copy while a writer writes it. Word-wise atomics avoid a data race; the
// slot's control word, read before and after, tells whether the copy is consistent: each store comes after the writer's
// change of the control word, each load before the reader's second look at it.
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
  std::atomic<std::uint8_t> dscp_up;     // of the client's packets, as in the traffic class: the SYN's or a later one's
  std::atomic<std::uint8_t> dscp_down;   // of the server's packets; 0 until one has another value
};
static_assert(sizeof(Slot) == 128);

// What a slot says about its connection. Other processes may have written anything there; what cannot be a bool is made
// one.
inline Connection connection_in(const Slot& slot)
{
  auto connection = slot.connection.load();
  for (auto* flag : {&connection.syn.sack_permitted, &connection.syn.timestamps}) {
    std::uint8_t byte{};
    std::memcpy(&byte, flag, sizeof byte);
    *flag = byte != 0;
  }
  return connection;
}

// One word of the bitmap index with what is needed to search its 64 slots without touching them.
struct alignas(128) Bucket
{
  static constexpr std::size_t slots = 64;

  std::atomic<std::uint64_t> bitmap;                      // bit set: the slot may be searched
  std::array<std::atomic<std::uint64_t>, slots / 8> tags; // eight one-byte tags in each word
  std::atomic<std::uint32_t> reach;                       // how far entries of this home bucket have ever spilled
};
static_assert(sizeof(Bucket) == 128);

// What a process of this instance is doing.
enum class ProcessState : std::uint8_t
{
  none,
  starting,
  idle,
  busy,
  queuer,
  waiting, // a far proxy, for its peer's client
  keeper,
  dialler
};

// Log lines that outsiders can cause at will: each is written at most once a minute.
enum class LimitedLine : std::uint8_t
{
  direct_connection,
  warm_port_refusal,
  unfinished_handshake,
  changed_source,
  astray
};
static constexpr std::size_t limited_lines = 5;

struct RosterEntry
{
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint16_t> index;     // the queuer's queue, the proxy's listener, or the keeper's peer
  std::atomic<std::int64_t> started_ns; // CLOCK_BOOTTIME; with the pid, a process's identity
};

// What is fixed, and what the manager tells all other processes. Only the manager writes it.
struct Header
{
  std::atomic<std::uint64_t> magic; // written last
  std::uint32_t version;
  std::uint32_t buckets; // a power of two
  std::uint32_t roster_capacity;
  std::uint64_t hash_key;
  std::atomic<std::uint32_t> max_connections; // the limit on entries
  std::atomic<std::uint32_t> max_per_client;  // the limit for one IPv4 address or IPv6 /64
  std::atomic<std::int32_t> manager_pid;
  SharedFlag leaving;    // told to drain: it still serves, but nobody should rely on it any more
  SharedFlag draining;   // the daemon is ending: new connections bypass
  SharedFlag overloaded; // no more processes, or proxies die at once: new connections bypass
};

// Counters; any process of the instance may write them.
struct Activity
{
  std::atomic<std::uint64_t> entries_added;   // these minus entries_removed are the slots in use,
  std::atomic<std::uint64_t> entries_removed; // except for what a killed process left half counted
  std::array<std::atomic<std::uint64_t>, counter_rows.size()> counters; // by Counter
  std::array<std::atomic<std::int64_t>, limited_lines> logged_ns;       // CLOCK_BOOTTIME of the last, by LimitedLine
  std::array<std::atomic<std::uint64_t>, limited_lines> held_back;      // lines since then, by LimitedLine
};

// Where the parts of the memory begin, in bytes. Parts written by different processes each begin on a page of their
// own, because the kernel can write-protect only whole pages.
struct Layout
{
  static constexpr std::size_t page = 4096;

  std::size_t roster;
  std::size_t peers; // a PeerStatus for each possible peer
  std::size_t activity;
  std::size_t buckets;
  std::size_t slots;
  std::size_t states; // a ProcessState for each entry of the roster
  std::size_t end;

  static constexpr Layout of(std::uint32_t bucket_count, std::uint32_t roster_capacity)
  {
    Layout result{};
    result.roster = whole_pages(sizeof(Header));
    result.peers = result.roster + whole_pages(sizeof(RosterEntry) * roster_capacity);
    result.activity = result.peers + whole_pages(sizeof(PeerStatus) * PeerStatus::most_peers);
    result.buckets = result.activity + whole_pages(sizeof(Activity));
    result.slots = result.buckets + sizeof(Bucket) * bucket_count;
    result.states = whole_pages(result.slots + sizeof(Slot) * Bucket::slots * bucket_count);
    result.end = result.states + roster_capacity;
    return result;
  }

private:
  static constexpr std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }
};

// Time since boot, suspended time included, comparable between processes (CLOCK_BOOTTIME).
using BootTime = std::chrono::nanoseconds;

// Of any two times, including those from the table, which may be anything.
inline std::chrono::duration<double> seconds_between(BootTime begin, BootTime end)
{
  return std::chrono::duration<double>{end} - std::chrono::duration<double>{begin};
}

// What an observer sees of a slot; the byte counters may have been read at slightly different times.
struct TableEntry
{
  SlotState state;
  Owner owner;
  BootTime since;
  Connection connection;
  std::uint64_t bytes_up;
  std::uint64_t bytes_down;
  std::uint32_t slot{}; // its number while it is in use; set by for_each()
};

// Reads a table that others write. Whatever they write, nothing outside the memory is read: sizes are read once and
// checked, indices are checked where they are used.
class TableView
{
public:
  // A view of `memory`, which must outlive it; nothing unless it holds a whole table of this layout.
  static std::optional<TableView> of(std::span<const std::byte> memory)
  {
    if (memory.size() < sizeof(Header)) {
      return std::nullopt;
    }
    const auto& header = *reinterpret_cast<const Header*>(memory.data());
    if (header.magic.load(std::memory_order_acquire) != layout_magic || header.version != layout_version) {
      return std::nullopt;
    }
    const auto buckets = header.buckets;
    const auto roster_capacity = header.roster_capacity;
    const bool power_of_two = buckets != 0 && (buckets & (buckets - 1)) == 0;
    if (!power_of_two || Layout::of(buckets, roster_capacity).end > memory.size()) {
      return std::nullopt;
    }
    return TableView{memory, buckets, roster_capacity};
  }

  const Header& header() const { return *reinterpret_cast<const Header*>(memory_); }
  const Activity& activity() const { return *reinterpret_cast<const Activity*>(memory_ + layout_.activity); }
  std::span<const PeerStatus> peers() const
  {
    return {reinterpret_cast<const PeerStatus*>(memory_ + layout_.peers), PeerStatus::most_peers};
  }
  std::span<const Slot> slots() const { return slots_; }

  std::uint64_t value(Counter counter) const
  {
    return activity().counters.at(static_cast<std::size_t>(counter)).load(std::memory_order_relaxed);
  }

  std::uint64_t value(Gauge gauge) const
  {
    switch (gauge) {
    case Gauge::manager_pid:
      return static_cast<std::uint64_t>(header().manager_pid.load());
    case Gauge::slots:
      return slots_.size();
    case Gauge::max_connections:
      return header().max_connections;
    case Gauge::entries:
      return entries();
    case Gauge::leaving:
      return header().leaving ? 1 : 0;
    case Gauge::draining:
      return header().draining ? 1 : 0;
    case Gauge::overloaded:
      return header().overloaded ? 1 : 0;
    }
    return 0;
  }

  // How many slots are in use.
  std::uint32_t entries() const
  {
    const auto removed = activity().entries_removed.load(std::memory_order_acquire);
    const auto added = activity().entries_added.load(std::memory_order_acquire);
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(static_cast<std::int64_t>(added - removed), 0,
                                                               static_cast<std::int64_t>(slots_.size())));
  }

  // The pid of the process with this number; 0 if there is none.
  std::int32_t process(Owner owner) const
  {
    return owner == no_owner || owner >= roster_.size() ? 0 : roster_[owner].pid.load(std::memory_order_relaxed);
  }

  // Calls `visit` with a TableEntry for every slot in use; entries that change meanwhile may be shown or not.
  template<typename Visit> void for_each(const Visit& visit) const
  {
    for (std::uint32_t index = 0; index < slots_.size(); ++index) {
      const auto& slot = slots_[index];
      const Control before{slot.control.load(std::memory_order_acquire)};
      if (before.state() == SlotState::free || before.state() == SlotState::reserved) {
        continue;
      }
      auto entry = observe(slot, before);
      entry.slot = index;
      if (slot.control.load(std::memory_order_relaxed) == before.word) {
        visit(entry);
      }
    }
  }

  // The contents of a slot whose control word was `control`; consistent only if the word is still the same afterwards.
  static TableEntry observe(const Slot& slot, Control control)
  {
    return {.state = control.state(),
            .owner = control.owner(),
            .since = BootTime{slot.since_ns.load(std::memory_order_acquire)},
            .connection = connection_in(slot),
            .bytes_up = slot.bytes_up.load(std::memory_order_acquire),
            .bytes_down = slot.bytes_down.load(std::memory_order_acquire)};
  }

private:
  TableView(std::span<const std::byte> memory, std::uint32_t buckets, std::uint32_t roster_capacity)
      : memory_{memory.data()}
      , layout_{Layout::of(buckets, roster_capacity)}
      , slots_{reinterpret_cast<const Slot*>(memory_ + layout_.slots), std::size_t{buckets} * Bucket::slots}
      , roster_{reinterpret_cast<const RosterEntry*>(memory_ + layout_.roster), roster_capacity}
  {}

  const std::byte* memory_;
  Layout layout_;
  std::span<const Slot> slots_;
  std::span<const RosterEntry> roster_;
};

} // namespace pepsal
