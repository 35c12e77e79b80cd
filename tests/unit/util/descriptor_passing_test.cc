#include "util/descriptor_passing.hh"

#include <array>
#include <string_view>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal::test {
namespace {

struct Greeting
{
  std::uint32_t number;
};

class DescriptorPassingTest : public testing::Test
{
protected:
  // The number of the next greeting at `end`; nothing if none is waiting.
  std::optional<std::uint32_t> next(const FileDescriptor& end)
  {
    Greeting greeting{};
    auto received = receive_message(end.number(), std::as_writable_bytes(std::span{&greeting, 1}));
    if (!received) {
      return std::nullopt;
    }
    bytes_ = received->bytes;
    passed_ = std::move(received->passed);
    return greeting.number;
  }

  SocketPair pair_;
  std::size_t bytes_{};
  FileDescriptor passed_;
};

TEST_F(DescriptorPassingTest, MessagesStayApart)
{
  EXPECT_EQ(next(pair_.second), std::nullopt) << "it waits for none";
  EXPECT_TRUE(send_object(pair_.first.number(), Greeting{1}));
  EXPECT_TRUE(send_object(pair_.first.number(), Greeting{2}));
  EXPECT_EQ(next(pair_.second), 1U);
  EXPECT_FALSE(passed_.is_open());
  EXPECT_EQ(next(pair_.second), 2U);
  EXPECT_EQ(bytes_, sizeof(Greeting));
}

TEST_F(DescriptorPassingTest, ADescriptorComesAsACopyThatNoProgramInherits)
{
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  const FileDescriptor read_end{ends[0]};
  FileDescriptor write_end{ends[1]};
  EXPECT_TRUE(send_object(pair_.first.number(), Greeting{3}, write_end.number()));
  write_end.close();
  EXPECT_EQ(next(pair_.second), 3U);
  ASSERT_TRUE(passed_.is_open());
  EXPECT_EQ(::fcntl(passed_.number(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(::write(passed_.number(), "x", 1), 1);
  char byte{};
  EXPECT_EQ(::read(read_end.number(), &byte, 1), 1);
}

TEST_F(DescriptorPassingTest, AClosedEndIsTold)
{
  pair_.first.close();
  ASSERT_TRUE(next(pair_.second).has_value());
  EXPECT_EQ(bytes_, 0U);
  EXPECT_FALSE(send_object(pair_.second.number(), Greeting{4}));
}

TEST_F(DescriptorPassingTest, AFullQueueTakesNoMore)
{
  std::uint32_t sent = 0;
  while (sent < 1'000'000 && send_object(pair_.first.number(), Greeting{sent})) {
    ++sent;
  }
  EXPECT_GT(sent, 0U);
  EXPECT_LT(sent, 1'000'000U);
  EXPECT_EQ(next(pair_.second), 0U) << "and loses none";
}

} // namespace
} // namespace pepsal::test
