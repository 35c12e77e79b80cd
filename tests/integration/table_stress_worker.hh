#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include <sys/mman.h>

#include "../unit/shared/traffic.hh"
#include "shared/connection_table.hh"

namespace pepsal::test {

enum class Violation : std::size_t
{
  wrong_connection, // a claim returned a connection other than the requested one, or a mixed one
  held_twice,       // claimed while another's mark was on the slot
  mark_changed,     // another's mark was on the slot when its holder released it
  contents_changed, // the record changed under its holder
  bytes_changed,    // the byte counters did
  observed_mixed,   // an observer was shown a record of two connections
  count
};
constexpr std::array<const char*, static_cast<std::size_t>(Violation::count)> violation_names{
    "wrong connection", "held twice", "mark changed", "contents changed", "bytes changed", "observed mixed"};

// The children's reports: shared memory of the test's own, next to the table.
struct Findings
{
  static constexpr std::size_t max_slots = 1024;

  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Violation::count)> violations{};
  std::atomic<std::uint64_t> inserted{};
  std::atomic<std::uint64_t> refreshed{};
  std::atomic<std::uint64_t> full{};
  std::atomic<std::uint64_t> claimed{};
  std::atomic<std::uint64_t> entered{}; // by insert_connecting
  std::atomic<std::uint64_t> freed{};
  std::array<std::atomic<std::uint32_t>, max_slots> holder{}; // the serial number of the child that holds it

  void expect(bool holds, Violation violation)
  {
    if (!holds) {
      ++violations.at(static_cast<std::size_t>(violation));
    }
  }
};

// A T in memory shared with forked children.
template<typename T> class Shared
{
public:
  Shared()
      : memory_{mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)}
  {
    if (memory_ == MAP_FAILED) {
      throw std::bad_alloc{};
    }
    std::construct_at(get());
  }
  ~Shared() { munmap(memory_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  T* get() { return static_cast<T*>(memory_); }
  T& operator*() { return *get(); }
  T* operator->() { return get(); }

private:
  void* memory_;
};

// A child's part. It runs until it is killed.
class Worker
{
public:
  Worker(const SharedSegment& segment, Findings& findings, std::uint32_t clients, Owner owner, std::uint32_t serial)
      : segment_{segment}
      , table_{segment}
      , findings_{findings}
      , clients_{clients}
      , max_held_{std::clamp(segment.header().max_connections / 8, 2U, 8U)}
      , owner_{owner}
      , serial_{serial}
      , random_{serial}
  {}

  [[noreturn]] void queue()
  {
    for (;;) {
      const auto connection = Traffic::connection(random_.below(clients_), random_.below(Traffic::servers));
      switch (table_.insert_pending(connection, owner_, boot_time_now())) {
      case ConnectionTable::Insertion::inserted:
        ++findings_.inserted;
        break;
      case ConnectionTable::Insertion::refreshed:
        ++findings_.refreshed;
        break;
      case ConnectionTable::Insertion::full:
        ++findings_.full;
        break;
      }
    }
  }

  [[noreturn]] void serve()
  {
    for (;;) {
      take_one();
      if (held_.size() > random_.below(max_held_)) {
        const auto chosen = random_.below(static_cast<std::uint32_t>(held_.size()));
        let_go(held_[chosen]);
        held_[chosen] = held_.back();
        held_.pop_back();
      }
    }
  }

  [[noreturn]] void watch()
  {
    for (;;) {
      table_.for_each([&](const auto& entry) {
        const auto number = entry.connection.server.port; // see Traffic::connection()
        findings_.expect(entry.connection == Traffic::connection(number / Traffic::servers, number % Traffic::servers),
                         Violation::observed_mixed);
      });
    }
  }

private:
  struct Held
  {
    ConnectionTable::Claim claim;
    std::uint64_t bytes{};
  };

  void take_one()
  {
    const auto client = random_.below(clients_);
    const auto wanted = Traffic::connection(client, random_.below(Traffic::servers));
    if (random_.below(8) == 0) {
      hold(table_.insert_connecting(wanted, owner_, boot_time_now()), wanted, findings_.entered);
    } else {
      hold(table_.claim(wanted.client, wanted.server, owner_, boot_time_now()), wanted, findings_.claimed);
    }
  }

  void hold(const std::optional<ConnectionTable::Claim>& claim, const Connection& wanted,
            std::atomic<std::uint64_t>& counter)
  {
    if (!claim) {
      return;
    }
    findings_.expect(findings_.holder.at(claim->slot).exchange(serial_) == 0, Violation::held_twice);
    findings_.expect(claim->connection == wanted, Violation::wrong_connection);
    ++counter;
    Held held{.claim = *claim};
    if (random_.below(4) != 0) {
      table_.set_open(held.claim);
      held.bytes = random_.below(100'000);
      table_.bytes_up(held.claim) += held.bytes;
      table_.bytes_down(held.claim) += held.bytes;
    }
    held_.push_back(held);
  }

  void let_go(const Held& held)
  {
    const auto& slot = segment_.slots()[held.claim.slot];
    findings_.expect(slot.control == held.claim.control.word && slot.connection.load() == held.claim.connection,
                     Violation::contents_changed);
    findings_.expect(table_.bytes_up(held.claim) == held.bytes && table_.bytes_down(held.claim) == held.bytes,
                     Violation::bytes_changed);
    findings_.expect(findings_.holder.at(held.claim.slot).exchange(0) == serial_, Violation::mark_changed);
    table_.release(held.claim);
    ++findings_.freed;
  }

  const SharedSegment& segment_;
  ConnectionTable table_;
  Findings& findings_;
  std::uint32_t clients_;
  std::uint32_t max_held_; // so that the proxies together do not hold all slots
  Owner owner_;
  std::uint32_t serial_;
  Random random_;
  std::vector<Held> held_;
};

} // namespace pepsal::test
