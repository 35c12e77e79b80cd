// Many processes at once insert, claim, hold and free on one table while others are killed with SIGKILL
// or stopped at random moments and replaced, as queuers and proxies may be. The parent plays the
// manager: it reaps, collects and forks again. Afterwards no slot may be lost, none may ever have been
// held by two at once, and nobody may have got another's destination.
//
// PEPSAL_STRESS_SECONDS sets how long it runs in all (default 30).

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/shared/traffic.hh"
#include "shared/connection_table.hh"
#include "util/system_error.hh"

using namespace pepsal;
using pepsal::test::Random;
using pepsal::test::Traffic;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

std::chrono::milliseconds duration()
{
  const auto* text = std::getenv("PEPSAL_STRESS_SECONDS");
  return std::chrono::seconds{text == nullptr ? 30 : std::max(1, std::atoi(text))};
}

enum class Violation : std::size_t
{
  wrong_connection, // a claim returned another connection than asked for, or a mixed one
  held_twice,       // claimed while another's mark stood on the slot
  mark_changed,     // another's mark stood on the slot when its holder let go
  contents_changed, // the record changed under its holder
  bytes_changed,    // the byte counters did
  observed_mixed,   // an observer was shown a record of two connections
  count
};
constexpr std::array<const char*, static_cast<std::size_t>(Violation::count)> violation_names{
    "wrong connection", "held twice", "mark changed", "contents changed", "bytes changed", "observed mixed"};

// What the children tell: shared memory of the test's own, beside the table.
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

// A T in memory that is shared with forked children.
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
  std::uint32_t max_held_; // so that the proxies together do not hold all there is
  Owner owner_;
  std::uint32_t serial_;
  Random random_;
  std::vector<Held> held_;
};

// The manager's part: forks, kills, stops, reaps, collects.
class Turmoil
{
public:
  Turmoil(std::uint32_t max_connections, std::uint32_t clients)
      : clients_{clients}
      , segment_{SharedSegment::create(fmt::format("stress.{}", getpid()),
                                       {.max_connections = max_connections, .processes = 16})}
  {
    segment_.remove_name(); // the mapping stays; nothing is left behind however this ends
    if (table_.slot_count() > Findings::max_slots) {
      throw std::length_error{"more slots than marks"};
    }
  }

  ~Turmoil()
  {
    for (Owner owner = 1; owner <= roles.size(); ++owner) {
      end(owner);
    }
  }
  Turmoil(const Turmoil&) = delete;
  Turmoil& operator=(const Turmoil&) = delete;

  void run(std::chrono::milliseconds time)
  {
    for (Owner owner = 1; owner <= roles.size(); ++owner) {
      begin(owner);
    }
    for (const auto until = Clock::now() + time; Clock::now() < until;) {
      usleep(random_.below(1000));
      disturb(random_.below(roles.size()) + 1);
    }
    for (Owner owner = 1; owner <= roles.size(); ++owner) {
      end(owner);
    }
  }

  // Collects with nobody alive, after which nothing may remain.
  void expect_whole()
  {
    const auto collected = table_.collect(BootTime::max(), [](Owner) { return false; });
    EXPECT_EQ(collected.in_use, 0U);
    EXPECT_EQ(table_.size(), 0U);
    for (const auto& bucket : segment_.buckets()) {
      EXPECT_EQ(bucket.bitmap, 0U);
    }
    for (const auto& slot : segment_.slots()) {
      EXPECT_EQ(Control{slot.control}.state(), SlotState::free);
    }
    segment_.header().max_connections = table_.slot_count();
    std::vector<ConnectionTable::Claim> all;
    for (std::uint32_t i = 0; i < table_.slot_count(); ++i) {
      const auto claim = table_.insert_connecting(Traffic::connection(i, 0), 1, boot_time_now());
      ASSERT_TRUE(claim) << "only " << i << " of " << table_.slot_count() << " slots can be taken";
      all.push_back(*claim);
    }
    EXPECT_FALSE(table_.insert_connecting(Traffic::connection(0, 1), 1, boot_time_now()));
    for (const auto& claim : all) {
      table_.release(claim);
    }
    EXPECT_EQ(table_.size(), 0U);
  }

  void expect_no_violations()
  {
    for (std::size_t i = 0; i < violation_names.size(); ++i) {
      EXPECT_EQ(findings_->violations[i], 0U) << violation_names[i];
    }
    EXPECT_EQ(died_by_themselves_, 0U) << "a child ended without being killed: an assertion failed?";
  }

  void expect_that_much_happened()
  {
    EXPECT_GT(findings_->inserted, 100U);
    EXPECT_GT(findings_->refreshed, 100U);
    EXPECT_GT(findings_->full, 100U);
    EXPECT_GT(findings_->claimed, 100U);
    EXPECT_GT(findings_->entered, 100U);
    EXPECT_GT(findings_->freed, 100U);
    EXPECT_GT(kills_, 10U);
    EXPECT_GT(expired_, 0U);
    EXPECT_GT(recovered_, 0U);
    fmt::print(
        "{} inserted, {} refreshed, {} full, {} claimed, {} entered by proxies, {} freed, {} killed, {} expired, "
        "{} recovered\n",
        findings_->inserted.load(), findings_->refreshed.load(), findings_->full.load(), findings_->claimed.load(),
        findings_->entered.load(), findings_->freed.load(), kills_, expired_, recovered_);
  }

private:
  enum class Role
  {
    queuer,
    proxy,
    observer
  };
  static constexpr std::array roles{Role::queuer, Role::queuer, Role::queuer, Role::proxy,
                                    Role::proxy,  Role::proxy,  Role::proxy,  Role::observer};

  struct Child
  {
    pid_t pid{-1};
    std::uint32_t serial{};
    bool stopped{};
  };

  void begin(Owner owner)
  {
    auto& child = children_.at(owner);
    child = {.pid = -1, .serial = ++last_serial_};
    child.pid = check("fork", fork());
    if (child.pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      work(owner, child.serial);
    }
  }

  [[noreturn]] void work(Owner owner, std::uint32_t serial)
  {
    Worker worker{segment_, *findings_, clients_, owner, serial};
    switch (roles.at(owner - 1)) {
    case Role::queuer:
      worker.queue();
    case Role::proxy:
      worker.serve();
    case Role::observer:
      worker.watch();
    }
    _exit(1);
  }

  // Kills and reaps, and takes the child's marks away: its slots stay taken until a collection, so that
  // nobody else can have marked them.
  void end(Owner owner)
  {
    auto& child = children_.at(owner);
    if (child.pid == -1) {
      return;
    }
    check("kill", kill(child.pid, SIGKILL));
    int status = 0;
    check("waitpid", waitpid(child.pid, &status, 0));
    died_by_themselves_ += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 1;
    for (auto& holder : findings_->holder) {
      auto serial = child.serial;
      holder.compare_exchange_strong(serial, 0);
    }
    child.pid = -1;
    ++kills_;
  }

  void disturb(Owner owner)
  {
    auto& child = children_.at(owner);
    switch (random_.below(8)) {
    case 0: // stopped in the middle of whatever it does: the others must get on
      check("kill", kill(child.pid, child.stopped ? SIGCONT : SIGSTOP));
      child.stopped = !child.stopped;
      break;
    case 1:
      collect();
      break;
    default:
      end(owner);
      collect();
      begin(owner);
    }
  }

  void collect()
  {
    const auto collected = table_.collect(boot_time_now() - random_.below(3) * 1ms,
                                          [&](Owner owner) { return children_.at(owner).pid != -1; });
    expired_ += collected.expired;
    recovered_ += collected.recovered;
  }

  std::uint32_t clients_;
  SharedSegment segment_;
  ConnectionTable table_{segment_};
  Shared<Findings> findings_;
  Random random_{2};
  std::array<Child, roles.size() + 1> children_{};
  std::uint32_t last_serial_{};
  std::uint64_t kills_{};
  std::uint64_t expired_{};
  std::uint64_t recovered_{};
  unsigned died_by_themselves_{};
};

struct Crowding
{
  std::uint32_t max_connections;
  std::uint32_t clients;
};

class TableStressTest : public testing::TestWithParam<Crowding>
{};

} // namespace

TEST_P(TableStressTest, NothingIsLostHeldTwiceOrMixedUp)
{
  Turmoil turmoil{GetParam().max_connections, GetParam().clients};
  turmoil.run(duration() / 3);
  turmoil.expect_no_violations();
  turmoil.expect_that_much_happened();
  turmoil.expect_whole();
}

// From a few slots that all fight for to sixteen buckets.
INSTANTIATE_TEST_SUITE_P(Crowded, TableStressTest,
                         testing::Values(Crowding{.max_connections = 6, .clients = 2},
                                         Crowding{.max_connections = 100, .clients = 50},
                                         Crowding{.max_connections = 800, .clients = 800}),
                         [](const auto& test) {
                           return fmt::format("{}ClientsFor{}Entries", test.param.clients, test.param.max_connections);
                         });
