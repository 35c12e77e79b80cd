// The table used by several threads of one process at once, which ThreadSanitizer can observe. The stress test with
// processes and kills is tests/integration/table_stress_test.cc.

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "owners.hh"
#include "shared/connection_table.hh"
#include "traffic.hh"

using namespace pepsal;
using namespace pepsal::test;
using pepsal::test::Random;
using pepsal::test::Traffic;
using namespace std::chrono_literals;

namespace {

constexpr Owner first_proxy = 2;

bool everybody_lives(Owner owner)
{
  return owner != no_owner;
}

std::uint32_t entries_seen(const ConnectionTable& table)
{
  std::uint32_t result = 0;
  table.for_each([&](const auto&) { ++result; });
  return result;
}

std::int64_t count(const SharedSegment& segment)
{
  return static_cast<std::int64_t>(segment.activity().entries_added - segment.activity().entries_removed);
}

// Threads that insert, claim, hold and release, and report what is wrong.
class Crowd
{
public:
  explicit Crowd(std::uint32_t clients, std::uint32_t max_connections)
      : clients_{clients}
      , segment_{SharedSegment::anonymous({.max_connections = max_connections, .processes = 64})}
      , holders_(table_.slot_count())
  {}

  ConnectionTable& table() { return table_; }
  const SharedSegment& segment() const { return segment_; }
  unsigned violations() const { return violations_; }
  unsigned claims() const { return claims_; }

  void queue(unsigned seed, unsigned operations)
  {
    Random random{seed};
    for (unsigned i = 0; i < operations; ++i) {
      auto connection = Traffic::connection(random.below(clients_), random.below(Traffic::servers));
      table_.insert_pending(connection, queuer, boot_time_now());
    }
  }

  void serve(unsigned seed, unsigned operations, Owner owner)
  {
    Random random{seed};
    std::vector<ConnectionTable::Claim> held;
    for (unsigned i = 0; i < operations; ++i) {
      take_one(random, owner, held);
      if (held.size() > 4) {
        let_go(held[random.below(static_cast<std::uint32_t>(held.size()))], owner);
        held.erase(std::remove_if(held.begin(), held.end(), [](const auto& c) { return c.control.word == 0; }),
                   held.end());
      }
    }
    for (auto& claim : held) {
      let_go(claim, owner);
    }
  }

  void expect(bool holds) { violations_ += holds ? 0 : 1; }

private:
  void take_one(Random& random, Owner owner, std::vector<ConnectionTable::Claim>& held)
  {
    const auto client = random.below(clients_);
    const auto wanted = Traffic::connection(client, random.below(Traffic::servers));
    auto claim = random.below(4) == 0 ? table_.insert_connecting(wanted, owner, boot_time_now())
                                      : table_.claim(wanted.client, wanted.server, owner, boot_time_now());
    expect(!claim || claim->connection == wanted);
    if (claim) {
      ++claims_;
      expect(holders_[claim->slot].exchange(owner) == no_owner);
      table_.set_open(*claim);
      table_.bytes_up(*claim) += owner;
      held.push_back(*claim);
    }
  }

  void let_go(ConnectionTable::Claim& claim, Owner owner)
  {
    expect(table_.bytes_up(claim) == owner);
    expect(segment_.slots()[claim.slot].connection.load() == claim.connection);
    expect(holders_[claim.slot].exchange(no_owner) == owner);
    table_.release(claim);
    claim.control = {};
  }

  std::uint32_t clients_;
  SharedSegment segment_;
  ConnectionTable table_{segment_};
  std::vector<std::atomic<Owner>> holders_;
  std::atomic<unsigned> violations_{};
  std::atomic<unsigned> claims_{};
};

class ConcurrencyTest : public testing::Test
{};

} // namespace

TEST_F(ConcurrencyTest, NothingIsLostMixedOrHeldTwice)
{
  constexpr unsigned operations = 40'000;
  for (const std::uint32_t max_connections : {30U, 400U}) {
    Crowd crowd{max_connections, max_connections};
    std::atomic<bool> done{};
    {
      std::jthread collector{[&] {
        while (!done) {
          crowd.table().collect(boot_time_now() - 1ms, everybody_lives);
        }
      }};
      std::jthread watcher{[&] {
        while (!done) {
          crowd.table().for_each([&](const auto& entry) {
            crowd.expect(Traffic::connection(entry.connection.server.port / Traffic::servers,
                                             entry.connection.server.port % Traffic::servers) == entry.connection);
          });
        }
      }};
      {
        std::vector<std::jthread> workers;
        for (unsigned i = 0; i < 2; ++i) {
          workers.emplace_back([&, i] { crowd.queue(i, operations); });
          workers.emplace_back([&, i] { crowd.serve(i, operations, first_proxy + i); });
        }
      }
      done = true;
    }
    EXPECT_EQ(crowd.violations(), 0U);
    EXPECT_GT(crowd.claims(), operations / 100) << "the threads hardly met";
    EXPECT_EQ(crowd.table().collect(BootTime::max(), everybody_lives).in_use, 0U) << "a slot is lost";
    for (const auto& bucket : crowd.segment().buckets()) {
      EXPECT_EQ(bucket.bitmap, 0U);
    }
  }
}

// Neighbours in one bucket share its bitmap word and its tag words, and must not lose each other's.
TEST_F(ConcurrencyTest, EveryEntryIsFoundAmongNeighbours)
{
  constexpr std::uint32_t each = 12;
  constexpr std::uint32_t threads = 3;
  const auto segment = SharedSegment::anonymous({.max_connections = each * threads, .processes = 8});
  ConnectionTable table{segment};
  std::atomic<unsigned> missed{};
  {
    std::vector<std::jthread> workers;
    for (std::uint32_t worker = 0; worker < threads; ++worker) {
      workers.emplace_back([&, worker] {
        for (std::uint32_t i = 0; i < 60'000; ++i) {
          const auto mine = Traffic::connection(1000 * worker + i % 400, 0);
          missed += table.insert_pending(mine, queuer, 1s) == ConnectionTable::Insertion::inserted ? 0 : 1;
          if (i + 1 < each) {
            continue;
          }
          const auto first = Traffic::connection(1000 * worker + (i + 1 - each) % 400, 0);
          if (const auto claim = table.claim(first.client, first.server, first_proxy + worker, 2s)) {
            table.release(*claim);
          } else {
            ++missed;
          }
        }
      });
    }
  }
  EXPECT_EQ(missed, 0U);
}

// A SYN retransmitted while its handshake completes: the queuer refreshes the entry just when the proxy looks for it.
TEST_F(ConcurrencyTest, ARetransmittedSynDoesNotHideItsEntry)
{
  const auto segment = SharedSegment::anonymous({.max_connections = 100, .processes = 8});
  ConnectionTable table{segment};
  const auto connection = Traffic::connection(1, 1);
  constexpr unsigned finish = 0xffff;
  std::atomic<unsigned> asked{};
  std::atomic<unsigned> answered{};
  std::jthread retransmitter{[&] {
    for (auto round = asked.load(); round != finish; round = asked.load()) {
      answered = round;
      answered.notify_one();
      if (round % 2 == 1) { // odd: refresh, even: hold still
        table.insert_pending(connection, queuer, boot_time_now());
      } else {
        asked.wait(round);
      }
    }
  }};
  const auto ask = [&](unsigned round) {
    asked = round;
    asked.notify_one();
    for (auto last = answered.load(); last != round; last = answered.load()) {
      answered.wait(last);
    }
  };
  unsigned missed = 0;
  for (unsigned round = 1; round < 1000; round += 2) {
    table.insert_pending(connection, queuer, boot_time_now());
    ask(round);
    auto claim = table.claim(connection.client, connection.server, first_proxy, boot_time_now());
    missed += claim ? 0 : 1;
    ask(round + 1);
    for (; claim; claim = table.claim(connection.client, connection.server, first_proxy, boot_time_now())) {
      table.release(*claim);
    }
  }
  asked = finish;
  asked.notify_one();
  EXPECT_EQ(missed, 0U);
}

// The collector recounts while other entries come and go, and must not lose what is counted meanwhile.
TEST_F(ConcurrencyTest, CollectingDoesNotUpsetTheCount)
{
  const auto segment = SharedSegment::anonymous({.max_connections = 50'000, .processes = 8});
  ConnectionTable table{segment};
  std::atomic<bool> done{};
  std::int64_t furthest = 0;
  {
    std::jthread churn{[&] {
      std::vector<ConnectionTable::Claim> held;
      for (std::uint32_t i = 0; !done; ++i) {
        if (i % 2000 < 1000) {
          if (auto claim = table.insert_connecting(Traffic::connection(i % 50'000, 0), first_proxy, 1s)) {
            held.push_back(*claim);
          }
        } else if (!held.empty()) {
          table.release(held.back());
          held.pop_back();
        }
        if (i % 1000 == 0) {
          const auto off = count(segment) - static_cast<std::int64_t>(held.size());
          furthest = std::max(furthest, std::abs(off));
        }
      }
    }};
    for (unsigned i = 0; i < 300; ++i) {
      table.collect(BootTime::min(), everybody_lives);
    }
    done = true;
  }
  // When a collection ends, one operation of each other thread may be half counted.
  EXPECT_LE(furthest, 1);
  EXPECT_LE(std::abs(static_cast<std::int64_t>(entries_seen(table)) - count(segment)), 1);
}
