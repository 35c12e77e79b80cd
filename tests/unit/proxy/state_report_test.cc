#include "proxy/state_report.hh"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal::test {
namespace {

class StateReportTest : public testing::Test
{
protected:
  StateReportTest()
  {
    for (const Owner owner : {1U, 2U, 3U}) {
      segment_.roster()[owner].index = 1;
      set(owner, ProcessState::idle);
    }
  }

  void set(Owner owner, ProcessState state) { segment_.process_states()[owner] = static_cast<std::uint8_t>(state); }

  // Of the proxy 1 at the listener 1.
  StateReport report(Owner highest, std::uint32_t few)
  {
    return {segment_,
            {.self = 1, .highest = highest, .listener = 1, .few = few},
            FileDescriptor{check("dup", ::dup(manager_.number()))}};
  }

  bool manager_is_woken()
  {
    std::uint64_t times{};
    return ::read(manager_.number(), &times, sizeof times) == sizeof times;
  }

  SharedSegment segment_ = SharedSegment::anonymous({.max_connections = 10, .processes = 4});
  FileDescriptor manager_{check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))};
};

TEST_F(StateReportTest, StandsInTheTable)
{
  auto own = report(3, 0);
  own.show(ProcessState::waiting);
  EXPECT_EQ(segment_.process_states()[1], static_cast<std::uint8_t>(ProcessState::waiting));
  EXPECT_EQ(segment_.process_states()[2], static_cast<std::uint8_t>(ProcessState::idle));
}

TEST_F(StateReportTest, ManagerIsWokenWhenFewAreLeft)
{
  auto own = report(3, 1);
  own.show(ProcessState::idle);
  EXPECT_FALSE(manager_is_woken()) << "it waits itself";
  own.show(ProcessState::busy);
  EXPECT_FALSE(manager_is_woken()) << "two are left";
  set(2, ProcessState::busy);
  own.show(ProcessState::busy);
  EXPECT_TRUE(manager_is_woken());
  own.give_up_waking();
  own.show(ProcessState::busy);
  EXPECT_FALSE(manager_is_woken());
}

TEST_F(StateReportTest, OnlyIdleProxiesOfItsOwnListenerCount)
{
  auto own = report(3, 1);
  segment_.roster()[2].index = 0;
  own.show(ProcessState::busy);
  EXPECT_TRUE(manager_is_woken());
  segment_.roster()[2].index = 1;
  set(3, ProcessState::starting);
  own.show(ProcessState::busy);
  EXPECT_FALSE(manager_is_woken()) << "one that starts is as good as idle";
  report(2, 1).show(ProcessState::busy);
  EXPECT_TRUE(manager_is_woken()) << "those that came later are not known";
}

} // namespace
} // namespace pepsal::test
