// Many processes concurrently insert, claim, hold and free on one table while others are killed with SIGKILL or stopped
// at random moments and replaced, as queuers and proxies may be. The parent plays the manager: it reaps, collects and
// forks again. Afterwards, no slot may be lost, none may ever have been held by two at once, and nobody may have got
// another's destination.
//
// PEPSAL_STRESS_SECONDS sets how long it runs in total (default 10).

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/connection_table.hh"
#include "table_stress_worker.hh"
#include "util/system_error.hh"

using namespace pepsal;
using namespace pepsal::test;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

std::chrono::milliseconds duration()
{
  const auto* text = std::getenv("PEPSAL_STRESS_SECONDS");
  return std::chrono::seconds{text == nullptr ? 10 : std::max(1, std::atoi(text))};
}

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

  // Collects with no process alive, after which nothing may remain.
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

  // Kills and reaps, and removes the child's marks: its slots stay taken until a collection, so nobody else can have
  // marked them.
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
    case 0: // stopped in the middle of whatever it does: the others must be able to continue
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

// From a few slots that all compete for to sixteen buckets.
INSTANTIATE_TEST_SUITE_P(Crowded, TableStressTest,
                         testing::Values(Crowding{.max_connections = 6, .clients = 2},
                                         Crowding{.max_connections = 100, .clients = 50},
                                         Crowding{.max_connections = 800, .clients = 800}),
                         [](const auto& test) {
                           return fmt::format("{}ClientsFor{}Entries", test.param.clients, test.param.max_connections);
                         });
