#include "manager/children.hh"

#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal::test {
namespace {

class ChildrenTest : public testing::Test
{
protected:
  Children::Ended wait_for_one()
  {
    siginfo_t info{};
    check("waitid", ::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
    const auto ended = children_.reap();
    EXPECT_TRUE(ended.has_value());
    return ended.value();
  }

  Owner spawn_and_reap(int status)
  {
    children_.spawn(Children::Role::proxy, 0, {}, [status](Owner) { return status; });
    return wait_for_one().child.owner;
  }

  SharedSegment segment_ = SharedSegment::anonymous({.max_connections = 10, .processes = 4});
  Children children_{segment_};
};

TEST_F(ChildrenTest, TellsHowAChildEnded)
{
  children_.spawn(Children::Role::proxy, 0, {}, [](Owner) { return 3; });
  const auto failed = wait_for_one();
  EXPECT_TRUE(failed.crashed);
  EXPECT_EQ(failed.manner(), "status 3");

  const auto pid = children_.spawn(Children::Role::queuer, 7, {}, [](Owner) { return ::pause(); });
  children_.signal(Children::Role::proxy, SIGKILL, [](const auto&) { return true; }); // reaches no queuer
  children_.signal(Children::Role::queuer, SIGKILL, [](const auto& child) { return child.index == 7; });
  const auto killed = wait_for_one();
  EXPECT_EQ(killed.pid, pid);
  EXPECT_EQ(killed.child.index, 7);
  EXPECT_EQ(killed.manner(), "signal 9");
  EXPECT_FALSE(children_.reap().has_value());
}

TEST_F(ChildrenTest, AChildHasNoDescriptorsButThoseItIsGiven)
{
  const FileDescriptor given{check("open", ::open("/dev/null", O_RDONLY | O_CLOEXEC))};
  const FileDescriptor between{check("open", ::open("/dev/null", O_RDONLY | O_CLOEXEC))};
  const FileDescriptor also_given{check("open", ::open("/dev/null", O_RDONLY | O_CLOEXEC))};
  const FileDescriptor last{check("open", ::open("/dev/null", O_RDONLY | O_CLOEXEC))};
  children_.spawn(Children::Role::proxy, 0, {also_given.number(), -1, given.number()}, [&](Owner) {
    const auto is_open = [](const FileDescriptor& descriptor) { return ::fcntl(descriptor.number(), F_GETFD) != -1; };
    return is_open(given) && is_open(also_given) && !is_open(between) && !is_open(last) ? EXIT_SUCCESS : EXIT_FAILURE;
  });
  EXPECT_EQ(wait_for_one().status, 0);
}

TEST_F(ChildrenTest, NumberOfACrashedChildIsNotGivenOutBeforeItIsForgotten)
{
  const auto crashed = spawn_and_reap(1);
  EXPECT_TRUE(children_.has_dead());
  EXPECT_FALSE(children_.is_alive(crashed));
  EXPECT_NE(spawn_and_reap(0), crashed);
  children_.forget_dead();
  EXPECT_EQ(spawn_and_reap(0), crashed) << "the one given back last";
}

TEST_F(ChildrenTest, NumberOfAChildThatEndedWellIsFreeAtOnce)
{
  EXPECT_EQ(spawn_and_reap(0), spawn_and_reap(0));
}

TEST_F(ChildrenTest, RosterIsALimit)
{
  const auto forever = [](Owner) { return ::pause(); };
  for (int i = 0; i < 3; ++i) { // of four numbers, 0 is nobody's
    children_.spawn(Children::Role::proxy, 0, {}, forever);
  }
  EXPECT_THROW(children_.spawn(Children::Role::proxy, 0, {}, forever), SystemError);
  EXPECT_EQ(children_.count(Children::Role::proxy), 3);
  children_.signal(Children::Role::proxy, SIGKILL, [](const auto&) { return true; });
  for (int i = 0; i < 3; ++i) {
    wait_for_one();
  }
  EXPECT_EQ(children_.count(Children::Role::proxy), 0);
}

// Otherwise a compromised process could make the manager kill any process by writing there.
TEST_F(ChildrenTest, RosterIsForDisplayOnly)
{
  const auto forever = [](Owner) { return ::pause(); };
  const auto pid = children_.spawn(Children::Role::proxy, 0, {}, forever);
  const pid_t bystander = ::fork();
  if (bystander == 0) {
    ::pause();
    ::_exit(0);
  }
  for (auto& entry : segment_.roster()) {
    entry.pid = bystander;
  }
  children_.signal(Children::Role::proxy, SIGKILL, [](const auto&) { return true; });
  EXPECT_EQ(wait_for_one().pid, pid);
  EXPECT_EQ(::waitpid(bystander, nullptr, WNOHANG), 0) << "it was killed";
  ::kill(bystander, SIGKILL);
  ::waitpid(bystander, nullptr, 0);
}

TEST_F(ChildrenTest, CountsIdleProxiesOfEachListener)
{
  const auto forever = [](Owner) { return ::pause(); };
  children_.spawn(Children::Role::proxy, 0, {}, forever); // starting, which counts as idle
  children_.spawn(Children::Role::proxy, 1, {}, forever);
  children_.spawn(Children::Role::queuer, 0, {}, forever);
  EXPECT_EQ(children_.count_idle(0), 1);
  EXPECT_EQ(children_.count_idle(1), 1);
  segment_.process_states()[2] = static_cast<std::uint8_t>(ProcessState::busy); // as that proxy does
  EXPECT_EQ(children_.count_idle(1), 0);
  for (const auto role : {Children::Role::proxy, Children::Role::queuer}) {
    children_.signal(role, SIGKILL, [](const auto&) { return true; });
  }
  for (int i = 0; i < 3; ++i) {
    wait_for_one();
  }
  EXPECT_EQ(children_.count_idle(0), 0);
}

} // namespace
} // namespace pepsal::test
