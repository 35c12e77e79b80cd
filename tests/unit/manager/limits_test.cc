#include "manager/limits.hh"

#include <stdexcept>

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace pepsal::test {
namespace {

TEST(Limits, WhatTheSystemHasRoomForIsGranted)
{
  const auto limits = find_limits(1);
  EXPECT_EQ(limits.connections, 1);
  EXPECT_EQ(limits.scarcest, "");
}

TEST(Limits, ScarcestResourceIsNamed)
{
  const auto limits = find_limits(4'000'000'000); // two threads each: more than pid_max can ever be
  EXPECT_LT(limits.connections, 4'000'000'000);
  EXPECT_GE(limits.connections, 1);
  EXPECT_NE(limits.scarcest, "");
}

TEST(Limits, DescriptorsAreTheSoftLimit)
{
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit fewer{.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &fewer), 0);
  EXPECT_EQ(find_limits(1).descriptors, 100);
  EXPECT_NO_THROW(require_descriptors(84));
  EXPECT_THROW(require_descriptors(85), std::runtime_error);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

} // namespace
} // namespace pepsal::test
