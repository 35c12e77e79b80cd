#include "util/file_descriptor.hh"

#include <utility>

#include <fcntl.h>
#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

FileDescriptor open_one()
{
  return FileDescriptor{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

bool is_open(int number)
{
  return ::fcntl(number, F_GETFD) != -1;
}

TEST(FileDescriptorTest, ClosesWhatItOwnsAtItsEnd)
{
  int number = -1;
  {
    const auto descriptor = open_one();
    number = descriptor.number();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(FileDescriptorTest, HasOneOwner)
{
  auto first = open_one();
  auto second = open_one();
  const int of_first = first.number();
  const int of_second = second.number();
  second = std::move(first);
  EXPECT_FALSE(first.is_open()); // NOLINT(bugprone-use-after-move): what is left is the question
  EXPECT_EQ(second.number(), of_first);
  EXPECT_TRUE(is_open(of_first));
  EXPECT_FALSE(is_open(of_second)) << "what was there before is closed";
}

TEST(FileDescriptorTest, WhatIsReleasedStaysOpen)
{
  auto descriptor = open_one();
  const FileDescriptor other{descriptor.release()};
  EXPECT_FALSE(descriptor.is_open());
  EXPECT_EQ(descriptor.number(), -1);
  descriptor.close(); // closes nothing
  EXPECT_TRUE(is_open(other.number()));
}

} // namespace
} // namespace pepsal::test
