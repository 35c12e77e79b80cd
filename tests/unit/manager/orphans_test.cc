#include "manager/orphans.hh"

#include <csignal>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eventually.hh"
#include "manager/children.hh"

namespace pepsal::test {
namespace {

constexpr Owner number = 3;

// A process that continues after its manager, as far as the table shows.
class OrphansTest : public testing::Test
{
protected:
  OrphansTest()
      : segment_{SharedSegment::create(fmt::format("orphans{}", ::getpid()), {.max_connections = 64, .processes = 16})}
  {}
  ~OrphansTest() override
  {
    end();
    segment_.remove_name();
  }
  OrphansTest(const OrphansTest&) = delete;
  OrphansTest& operator=(const OrphansTest&) = delete;

  void begin(bool locks)
  {
    pid_ = ::fork();
    if (pid_ == 0) {
      if (locks) {
        SharedSegment::claim_number(segment_.descriptor_to_read(), number);
      }
      ::pause();
      ::_exit(0);
    }
    segment_.roster()[number].pid = pid_;
    EXPECT_TRUE(!locks || eventually([this] { return segment_.holder_of(number) == pid_; }));
  }

  void end()
  {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      pid_ = 0;
    }
  }

  SharedSegment segment_;
  pid_t pid_{};
};

TEST_F(OrphansTest, AreKnownByTheirLocks)
{
  EXPECT_TRUE(find_orphans(segment_)->empty());
  begin(true);
  segment_.roster()[number].pid = 1; // regardless of what is there
  segment_.roster()[number + 1].pid = pid_;
  const auto orphans = find_orphans(segment_);
  // The test program does not have PEPsal's name, so a pid without a lock counts as none of its processes.
  ASSERT_TRUE(orphans.has_value());
  ASSERT_EQ(orphans->size(), 1U);
  EXPECT_EQ(orphans->front().pid, pid_);
  EXPECT_EQ(orphans->front().owner, number);
}

TEST_F(OrphansTest, AreSeenToEnd)
{
  begin(true);
  Children children{segment_};
  children.adopt_orphan(pid_, {.role = Children::Role::proxy, .owner = number, .index = 0}, BootTime{1});
  EXPECT_EQ(children.count(Children::Role::proxy), 1U);
  EXPECT_TRUE(children.has_orphans());
  EXPECT_FALSE(children.find_ended_orphan().has_value());
  children.signal(Children::Role::proxy, SIGKILL, [](const auto&) { return true; });
  end();
  EXPECT_TRUE(eventually([&] { return children.find_ended_orphan().has_value(); }));
  EXPECT_EQ(children.count(Children::Role::proxy), 0U);
  EXPECT_TRUE(children.is_dead(number));
}

TEST_F(OrphansTest, AProcessWithoutItsLockIsNotSignalled)
{
  begin(false);
  Children children{segment_};
  children.adopt_orphan(pid_, {.role = Children::Role::proxy, .owner = number, .index = 0}, BootTime{1});
  children.signal(Children::Role::proxy, SIGKILL, [](const auto&) { return true; });
  EXPECT_EQ(::waitpid(pid_, nullptr, WNOHANG), 0) << "it was killed";
  EXPECT_TRUE(eventually([&] { return children.find_ended_orphan().has_value(); }));
}

} // namespace
} // namespace pepsal::test
