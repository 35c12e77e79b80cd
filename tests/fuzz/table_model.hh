#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "choices.hh"
#include "shared/connection_table.hh"

namespace pepsal::test {

// Applies a sequence of operations, read from bytes, to a table and to a plain std::multimap, and throws
// std::logic_error if they differ. The tables have at most 16 buckets, so that any entry may be anywhere and the model
// knows exactly when an insertion must fail.
class TableModel
{
public:
  explicit TableModel(std::span<const std::uint8_t> bytes)
      : choices_{bytes}
      , shape_{shapes.at(choices_.below(shapes.size()))}
      , segment_{SharedSegment::anonymous({.max_connections = shape_.connections, .processes = 8})}
  {
    segment_.header().max_connections = shape_.limit;
  }

  void run()
  {
    for (unsigned step = 0; !choices_.empty(); ++step) {
      operate();
      require(table_.size() == entries_.size(),
              fmt::format("size {} where the model has {}", table_.size(), entries_.size()));
      if (step % audit_interval == 0) {
        audit();
      }
    }
    audit();
    empty_out();
  }

private:
  struct Entry
  {
    Connection connection;
    SlotState state{};
    Owner owner{no_owner};
    BootTime since{};
    std::uint64_t bytes_up{};
    std::uint64_t bytes_down{};
    ConnectionTable::Claim claim{}; // of connecting and open entries
  };
  using Entries = std::multimap<Endpoint, Entry>;

  // A table of `connections`, limited to `limit` entries, tried by `clients` client endpoints.
  struct Shape
  {
    std::uint32_t connections;
    std::uint32_t limit;
    std::uint32_t clients;
  };
  static constexpr std::array shapes{
      Shape{.connections = 1, .limit = 1, .clients = 4},       Shape{.connections = 20, .limit = 20, .clients = 16},
      Shape{.connections = 102, .limit = 1000, .clients = 2}, // more than one client may have
      Shape{.connections = 51, .limit = 1000, .clients = 96}, // one bucket, filled to its last slot
      Shape{.connections = 102, .limit = 102, .clients = 64},  Shape{.connections = 102, .limit = 1000, .clients = 200},
      Shape{.connections = 204, .limit = 256, .clients = 256}, Shape{.connections = 819, .limit = 1024, .clients = 256},
  };
  static constexpr unsigned audit_interval = 64;
  static constexpr std::uint32_t collection_rarity = 16;
  static constexpr Owner queuer = 1;
  static constexpr Owner first_proxy = 2;
  static constexpr std::uint32_t proxies = 4;

  static void require(bool holds, const std::string& what)
  {
    if (!holds) {
      throw std::logic_error{what};
    }
  }

  static Endpoint client_of(std::uint32_t number)
  {
    const auto port = static_cast<std::uint16_t>(1024 + number % 32);
    const auto host = static_cast<std::uint8_t>(number / 32);
    if (number % 2 == 0) {
      const std::array<std::uint8_t, 4> address{10, 0, 0, host};
      return Endpoint::from_ipv4(address.data(), port);
    }
    const std::array<std::uint8_t, 16> address{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host};
    return Endpoint::from_ipv6(address.data(), port);
  }

  Connection pick_connection()
  {
    const auto client = client_of(choices_.below(shape_.clients));
    const auto server = choices_.below(6); // the last two are ports of one address
    const std::array<std::uint8_t, 4> address{192, 0, 2, static_cast<std::uint8_t>(std::min(server, 4U))};
    return {.client = client,
            .server = Endpoint::from_ipv4(address.data(), static_cast<std::uint16_t>(80 + server)),
            .syn = {.mss = static_cast<std::uint16_t>(1400 + server % 2)}};
  }

  BootTime tick() { return now_ += BootTime{choices_.below(4)}; }

  bool same_pending(const Entry& entry, const Connection& connection) const
  {
    return entry.state == SlotState::pending && entry.connection.server == connection.server;
  }

  Entries::iterator find_pending(const Connection& connection)
  {
    auto [first, last] = entries_.equal_range(connection.client);
    first = std::find_if(first, last, [&](const auto& item) { return same_pending(item.second, connection); });
    return first == last ? entries_.end() : first;
  }

  bool must_be_full(const Connection& connection) const
  {
    return entries_.size() >= std::min<std::size_t>(segment_.header().max_connections, table_.slot_count()) ||
           entries_.count(connection.client) >= ConnectionTable::max_per_client_port;
  }

  void operate()
  {
    switch (choices_.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      insert();
      break;
    case 5:
      insert_altered();
      break;
    case 6:
    case 7:
    case 8:
    case 9:
      claim();
      break;
    case 10:
      insert_connecting();
      break;
    case 11:
      with_held([&](Entry& entry) { open(entry); });
      break;
    case 12:
      with_held([&](Entry& entry) { transfer(entry); });
      break;
    case 13:
    case 14:
      release();
      break;
    default:
      if (choices_.below(collection_rarity) == 0) {
        collect(); // rarely, or the table never fills
      }
    }
  }

  void insert() { insert(pick_connection()); }

  void insert_altered()
  {
    auto connection = pick_connection();
    connection.syn.ttl = static_cast<std::uint8_t>(choices_.below(4));
    insert(connection);
  }

  void insert(const Connection& connection)
  {
    const auto now = tick();
    const auto known = find_pending(connection);
    const bool full = must_be_full(connection);
    const auto result = table_.insert_pending(connection, queuer, now);
    if (known != entries_.end()) {
      require(result == ConnectionTable::Insertion::refreshed, "a retransmitted SYN did not refresh its entry");
      known->second.connection = connection;
      known->second.since = now;
    } else if (full) {
      require(result == ConnectionTable::Insertion::full, "took an entry more than it may");
    } else {
      require(result == ConnectionTable::Insertion::inserted, "did not take an entry");
      entries_.emplace(connection.client,
                       Entry{.connection = connection, .state = SlotState::pending, .since = now, .claim = {}});
    }
  }

  void hold(Entry& entry, const ConnectionTable::Claim& claim, Owner owner)
  {
    require(claim.connection == entry.connection, "claimed another connection than asked for");
    for (const auto& [client, other] : entries_) {
      require(other.owner == no_owner || other.claim.slot != claim.slot, "claimed a slot that another holds");
    }
    entry.state = SlotState::connecting;
    entry.owner = owner;
    entry.since = now_;
    entry.claim = claim;
  }

  void claim()
  {
    const auto connection = pick_connection();
    const auto owner = first_proxy + choices_.below(proxies);
    const auto known = find_pending(connection);
    const auto claim = table_.claim(connection.client, connection.server, owner, tick());
    require(claim.has_value() == (known != entries_.end()), "a pending entry was missed, or claimed where none is");
    if (claim) {
      hold(known->second, *claim, owner);
    }
  }

  void insert_connecting()
  {
    const auto connection = pick_connection();
    const auto owner = first_proxy + choices_.below(proxies);
    const bool full = must_be_full(connection);
    const auto claim = table_.insert_connecting(connection, owner, tick());
    require(claim.has_value() != full, "took an entry more than it may, or did not take one");
    if (claim) {
      Entry entry{.connection = connection, .claim = {}};
      hold(entry, *claim, owner);
      entries_.emplace(connection.client, entry);
    }
  }

  Entries::iterator pick_held()
  {
    const auto [first, last] = entries_.equal_range(client_of(choices_.below(shape_.clients)));
    const auto held = std::find_if(first, last, [](const auto& item) { return item.second.owner != no_owner; });
    return held == last ? entries_.end() : held;
  }

  template<typename Act> void with_held(const Act& act)
  {
    const auto entry = pick_held();
    if (entry != entries_.end()) {
      act(entry->second);
    }
  }

  void open(Entry& entry)
  {
    if (entry.state == SlotState::connecting) {
      table_.set_open(entry.claim);
      entry.state = SlotState::open;
    }
  }

  void transfer(Entry& entry)
  {
    const auto bytes = choices_.below(256);
    table_.bytes_up(entry.claim) += bytes;
    table_.bytes_down(entry.claim) += 2 * std::uint64_t{bytes};
    entry.bytes_up += bytes;
    entry.bytes_down += 2 * std::uint64_t{bytes};
    require(table_.bytes_up(entry.claim) == entry.bytes_up && table_.bytes_down(entry.claim) == entry.bytes_down,
            "bytes counted wrongly");
  }

  void release()
  {
    const auto entry = pick_held();
    if (entry != entries_.end()) {
      table_.release(entry->second.claim);
      entries_.erase(entry);
    }
  }

  void collect()
  {
    const auto pending_before = now_ - BootTime{16 * choices_.below(256)};
    const auto dead = first_proxy + choices_.below(2 * proxies); // half of the time no process
    collect(pending_before, [&](Owner owner) { return owner != dead; });
  }

  template<typename IsAlive> void collect(BootTime pending_before, const IsAlive& is_alive)
  {
    std::uint32_t expired = 0;
    std::uint32_t pending = 0;
    std::vector<View> lost;
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      const bool is_pending = entry->second.state == SlotState::pending;
      const bool old = is_pending && entry->second.since < pending_before;
      const bool orphaned = !is_pending && !is_alive(entry->second.owner);
      expired += old ? 1 : 0;
      pending += is_pending && !old ? 1 : 0;
      if (orphaned) {
        lost.push_back(view(entry->second));
      }
      entry = old || orphaned ? entries_.erase(entry) : std::next(entry);
    }
    std::vector<View> shown;
    const auto collected =
        table_.collect(pending_before, is_alive, [&](const auto& entry) { shown.push_back(view(entry)); });
    std::sort(lost.begin(), lost.end());
    std::sort(shown.begin(), shown.end());
    require(shown == lost, "the entries recovered are not those of the dead");
    require(collected.expired == expired && collected.recovered == lost.size() && collected.in_use == entries_.size() &&
                collected.pending == pending,
            "the collection counted wrongly");
  }

  using View = std::tuple<Connection, SlotState, Owner, BootTime, std::uint64_t, std::uint64_t>;

  template<typename Any> static View view(const Any& entry)
  {
    return {entry.connection, entry.state, entry.owner, entry.since, entry.bytes_up, entry.bytes_down};
  }

  void audit() const
  {
    std::vector<View> expected;
    for (const auto& [client, entry] : entries_) {
      expected.push_back(view(entry));
    }
    std::vector<View> shown;
    table_.for_each([&](const auto& entry) { shown.push_back(view(entry)); });
    std::sort(expected.begin(), expected.end());
    std::sort(shown.begin(), shown.end());
    require(shown == expected, "the table does not hold what the model holds");
  }

  void empty_out()
  {
    collect(BootTime::max(), [](Owner) { return false; });
    require(table_.size() == 0, "entries remain after all were collected");
    for (const auto& bucket : segment_.buckets()) {
      require(bucket.bitmap.load() == 0, "a bit remains after all entries were collected");
    }
  }

  Choices choices_;
  Shape shape_;
  SharedSegment segment_;
  ConnectionTable table_{segment_};
  Entries entries_;
  BootTime now_{1000};
};

} // namespace pepsal::test
