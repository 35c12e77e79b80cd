// Kills a process after every single instruction of each operation on the table. The operation runs in a child under
// PTRACE_SINGLESTEP. What SIGKILL would leave is what the shared memory holds at that moment, so a copy of it is
// examined after each step that changed it; and for each such moment, a new child is stepped to the same point and
// really killed. In either case nobody may have to wait for the dead process, one collection must make the table
// consistent, and other processes' entries must be untouched.

#include <csignal>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "../unit/shared/traffic.hh"
#include "shared/connection_table.hh"
#include "stepped_child.hh"
#include "util/system_error.hh"

using namespace pepsal;
using pepsal::test::SteppedChild;
using pepsal::test::Traffic;
using namespace std::chrono_literals;

namespace {

constexpr Owner queuer = 1;
constexpr Owner proxy = 2;
constexpr Owner victim = 3;

bool all_but_victim_live(Owner owner)
{
  return owner != victim && owner != no_owner;
}

bool nobody_lives(Owner)
{
  return false;
}

// Two buckets, so that entries spill, and every slot is in reach of every client.
class Arena
{
public:
  Arena()
      : segment_{SharedSegment::anonymous({.max_connections = 102, .processes = 8})}
  {}

  ConnectionTable& table() { return table_; }
  const SharedSegment& segment() const { return segment_; }

  std::span<std::byte> bytes() const
  {
    auto* begin = reinterpret_cast<std::byte*>(&segment_.header());
    const auto* end = reinterpret_cast<const std::byte*>(segment_.slots().data() + segment_.slots().size());
    return {begin, static_cast<std::size_t>(end - begin)};
  }

  void become(std::span<const std::byte> image) { std::memcpy(bytes().data(), image.data(), image.size()); }

private:
  SharedSegment segment_;
  ConnectionTable table_{segment_};
};

// The connections of a scenario: `own` is the victim's, `others` belong to other clients.
const Connection own = Traffic::connection(1, 1);
const Connection stale = Traffic::connection(1, 0);
constexpr std::uint32_t first_other = 10;
constexpr std::uint32_t others = 3;
constexpr std::uint32_t bystander = 500;

struct Scenario
{
  std::string name;
  std::function<void(Arena&)> prepare;
  std::function<void(ConnectionTable&)> act;
};

void PrintTo(const Scenario& scenario, std::ostream* out)
{
  *out << scenario.name;
}

void insert_own(ConnectionTable& table)
{
  table.insert_pending(own, victim, 2s);
}

void claim_and_release(ConnectionTable& table)
{
  if (auto claim = table.claim(own.client, own.server, victim, 3s)) {
    table.bytes_up(*claim) += 1000;
    table.set_open(*claim);
    table.bytes_down(*claim) += 1000;
    table.release(*claim);
  }
}

void note_own(Arena& arena)
{
  arena.table().insert_pending(own, queuer, 1s);
}

// Takes all slots of the victim's home bucket, so that it must spill.
void fill_home_bucket(Arena& arena)
{
  arena.segment().header().max_connections = arena.table().slot_count();
  std::uint32_t home = 0;
  for (unsigned i = 0; i < Bucket::slots / 2; ++i) {
    home = arena.table().insert_connecting(own, proxy, 1s)->slot / Bucket::slots;
  }
  for (std::uint32_t i = 0; ~arena.segment().buckets()[home].bitmap != 0; ++i) {
    arena.table().insert_connecting(Traffic::connection(1000 + i, 0), proxy, 1s);
  }
}

void fill(Arena& arena)
{
  for (std::uint32_t i = 0; arena.table().insert_connecting(Traffic::connection(1000 + i, 0), proxy, 1s); ++i) {
  }
}

// What dead and slow processes have left, and a count that is one too high.
void leave_much_to_collect(Arena& arena)
{
  auto& table = arena.table();
  table.insert_pending(own, queuer, 1s);
  table.insert_connecting(Traffic::connection(2, 0), victim, 1s);
  auto claim = table.insert_connecting(Traffic::connection(3, 0), victim, 1s);
  table.set_open(*claim);
  ++arena.segment().activity().entries_added;
}

std::vector<Scenario> scenarios()
{
  const auto nothing = [](Arena&) {};
  const auto insert_altered = [](ConnectionTable& table) {
    auto altered = own;
    altered.syn.ttl ^= 1U;
    table.insert_pending(altered, victim, 2s);
  };
  const auto live_and_die = [](ConnectionTable& table) {
    insert_own(table);
    insert_own(table);
    claim_and_release(table);
  };
  const auto note_both_directions = [](ConnectionTable& table) {
    constexpr std::uint8_t expedited = 0xb8;    // RFC 3246
    constexpr std::uint8_t least_effort = 0x04; // RFC 8622
    table.note_traffic_class(own.client, own.server, own.syn.traffic_class ^ least_effort);
    table.note_traffic_class(own.server, own.client, expedited);
  };
  return {
      {"Insert", nothing, insert_own},
      {"InsertSpilling", fill_home_bucket, insert_own},
      {"InsertWhenFull", fill, insert_own},
      {"Refresh", note_own, insert_own},
      {"RefreshWithOtherAttributes", note_own, insert_altered},
      {"Claim", note_own, [](ConnectionTable& table) { table.claim(own.client, own.server, victim, 3s); }},
      {"InsertConnecting", nothing, [](ConnectionTable& table) { table.insert_connecting(own, victim, 3s); }},
      {"ClaimOpenRelease", note_own, claim_and_release},
      {"WholeLife", nothing, live_and_die},
      {"NoteTrafficClass", note_own, note_both_directions},
      {"Collect", leave_much_to_collect, [](ConnectionTable& table) { table.collect(5s, all_but_victim_live); }},
  };
}

class TableKillTest : public testing::TestWithParam<Scenario>
{
protected:
  void SetUp() override
  {
    for (std::uint32_t i = 0; i < others; ++i) {
      live_.table().insert_pending(Traffic::connection(first_other + i, 0), queuer, 10s);
    }
    leave_stale_contents();
    GetParam().prepare(live_);
    initial_.assign(live_.bytes().begin(), live_.bytes().end());
  }

  // The victim's slot was used before by its client, for another server.
  void leave_stale_contents()
  {
    const auto claim = live_.table().insert_connecting(stale, proxy, 1s);
    live_.table().bytes_up(*claim) += 5;
    live_.table().bytes_down(*claim) += 5;
    live_.table().release(*claim);
  }

  SteppedChild start()
  {
    return SteppedChild{[this] { GetParam().act(live_.table()); }};
  }

  // The table `image`, as the victim left it, must be consistent after a collection.
  void examine(std::span<const std::byte> image)
  {
    examined_.become(image);
    expect_no_stale_entry();
    collect_and_expect_whole();
    examined_.become(image);
    live_among_the_dead();
    collect_and_expect_whole();
  }

  // Nobody may see or get a record that is mixed or was freed before.
  void expect_no_stale_entry()
  {
    auto& table = examined_.table();
    table.for_each([](const auto& entry) {
      const auto number = entry.connection.server.port; // see Traffic::connection()
      auto expected = Traffic::connection(number / Traffic::servers, number % Traffic::servers);
      expected.syn.ttl = entry.connection.syn.ttl; // a refreshed one may differ in this
      EXPECT_EQ(entry.connection, expected);
      EXPECT_NE(entry.connection, stale);
      EXPECT_TRUE(entry.state != SlotState::pending || entry.bytes_up + entry.bytes_down == 0);
    });
    EXPECT_FALSE(table.claim(stale.client, stale.server, proxy, 15s));
  }

  // Before the collection, others continue, with their own connections and with the victim's.
  void live_among_the_dead()
  {
    auto& table = examined_.table();
    const auto mine = Traffic::connection(bystander, 0);
    if (table.insert_pending(mine, queuer, 20s) != ConnectionTable::Insertion::full) {
      const auto claim = table.claim(mine.client, mine.server, proxy, 21s);
      ASSERT_TRUE(claim);
      EXPECT_EQ(claim->connection, mine);
      table.release(*claim);
    }
    table.insert_pending(own, queuer, 22s);
    if (const auto claim = table.claim(own.client, own.server, proxy, 23s)) {
      EXPECT_EQ(claim->connection.server, own.server);
      table.release(*claim);
    }
  }

  void collect_and_expect_whole()
  {
    auto& table = examined_.table();
    table.collect(BootTime::min(), all_but_victim_live);
    expect_consistent();
    for (std::uint32_t i = 0; i < others; ++i) {
      const auto theirs = Traffic::connection(first_other + i, 0);
      const auto claim = table.claim(theirs.client, theirs.server, proxy, 30s);
      ASSERT_TRUE(claim) << "another's entry is lost";
      EXPECT_EQ(claim->connection, theirs);
    }
    table.collect(BootTime::max(), nobody_lives);
    EXPECT_EQ(table.size(), 0U);
    expect_consistent();
    expect_full_capacity();
  }

  void expect_consistent()
  {
    std::uint32_t in_use = 0;
    const auto slots = examined_.segment().slots();
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const Control control{slots[i].control};
      const auto bit = examined_.segment().buckets()[i / Bucket::slots].bitmap >> (i % Bucket::slots) & 1U;
      in_use += control.state() == SlotState::free ? 0 : 1;
      EXPECT_NE(control.state(), SlotState::reserved);
      EXPECT_NE(control.owner(), victim);
      EXPECT_EQ(bit != 0, control.state() != SlotState::free) << "slot " << i;
    }
    EXPECT_EQ(examined_.table().size(), in_use);
  }

  void expect_full_capacity()
  {
    auto& table = examined_.table();
    examined_.segment().header().max_connections = table.slot_count();
    std::uint32_t taken = 0;
    while (table.insert_connecting(Traffic::connection(taken, 0), proxy, 40s)) {
      ++taken;
    }
    EXPECT_EQ(taken, table.slot_count()) << "a slot is lost";
  }

  // Whether the live memory has changed since `last`; restores it.
  bool changed_since(std::vector<std::byte>& last) const
  {
    if (std::memcmp(last.data(), live_.bytes().data(), last.size()) == 0) {
      return false;
    }
    last.assign(live_.bytes().begin(), live_.bytes().end());
    return true;
  }

  Arena live_;
  Arena examined_;
  std::vector<std::byte> initial_;
};

} // namespace

TEST_P(TableKillTest, TableIsWholeAfterAKillAtAnyInstruction)
{
  unsigned instructions = 0;
  unsigned changes = 0; // of the memory, each by one instruction
  auto last = initial_;
  examine(last);
  {
    auto child = start();
    while (child.step()) {
      ++instructions;
      if (changed_since(last)) {
        ++changes;
        examine(last);
        ASSERT_FALSE(HasFailure()) << "killed after " << instructions << " instructions";
      }
    }
  }
  // By changes and not by instructions, whose number varies: code that reads the clock while the kernel sets it reads
  // it again.
  for (unsigned last_change = 1; last_change <= changes; ++last_change) {
    live_.become(initial_);
    last = initial_;
    auto child = start();
    for (unsigned change = 0; change < last_change;) {
      ASSERT_TRUE(child.step());
      change += changed_since(last) ? 1 : 0;
    }
    child.kill_it();
    examine(live_.bytes());
    ASSERT_FALSE(HasFailure()) << "killed after change " << last_change;
  }
  EXPECT_GE(changes, 2U);
  fmt::print("{} instructions, of which {} changed the shared memory\n", instructions, changes);
}

INSTANTIATE_TEST_SUITE_P(Operations, TableKillTest, testing::ValuesIn(scenarios()),
                         [](const auto& test) { return test.param.name; });
