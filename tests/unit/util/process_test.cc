#include "util/process.hh"

#include <csignal>
#include <stdexcept>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pepsal::test {
namespace {

// The exit status of a child that runs `body`, or minus the signal that ended it.
int status_of(const std::function<int()>& body)
{
  int status = 0;
  const auto child = fork_process(body);
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(ForkProcessTest, ChildEndsWithWhatItsBodyReturns)
{
  EXPECT_EQ(status_of([] { return 7; }), 7);
}

TEST(ForkProcessTest, AnExceptionIsTheChildsFailureAndNobodyElses)
{
  EXPECT_EQ(status_of([]() -> int { throw std::runtime_error{"of a child, for a test"}; }), EXIT_FAILURE);
}

TEST(DieWithParentTest, OneWhoseParentHasGoneEndsAtOnce)
{
  EXPECT_EQ(status_of([] {
              die_with_parent(::getpid(), SIGKILL); // its parent is another process
              return 7;
            }),
            EXIT_SUCCESS);
}

TEST(SignalDescriptorTest, SignalsWaitThereAndEndNothing)
{
  EXPECT_EQ(status_of([] {
              SignalDescriptor signals{SIGTERM, SIGUSR1};
              if (signals.take() != 0) {
                return 1;
              }
              ::raise(SIGTERM);
              ::raise(SIGUSR1);
              const int first = signals.take();
              const int second = signals.take();
              return first + second == SIGTERM + SIGUSR1 && first != second && signals.take() == 0 ? 0 : 2;
            }),
            0);
}

// As a child of a process with a SignalDescriptor must.
TEST(SignalDescriptorTest, WhatIsUnblockedDoesItsWorkAgain)
{
  EXPECT_EQ(status_of([] {
              const SignalDescriptor signals{SIGTERM};
              ::raise(SIGTERM);
              unblock_signals();
              return 7;
            }),
            -SIGTERM);
}

} // namespace
} // namespace pepsal::test
