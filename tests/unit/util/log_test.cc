#include "util/log.hh"

#include <array>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "util/file_descriptor.hh"
#include "util/system_error.hh"

namespace pepsal::test {
namespace {

// A pipe in the place of stderr.
class LogTest : public testing::Test
{
protected:
  LogTest()
  {
    std::array<int, 2> ends{};
    check("pipe2", ::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK));
    read_end_ = FileDescriptor{ends[0]};
    const FileDescriptor write_end{ends[1]};
    check("dup2", ::dup2(write_end.number(), STDERR_FILENO));
  }
  ~LogTest() override
  {
    log::configure(false);
    ::dup2(before_.number(), STDERR_FILENO);
  }
  LogTest(const LogTest&) = delete;
  LogTest& operator=(const LogTest&) = delete;

  std::string logged() const
  {
    std::string text(1 << 17, '\0');
    const auto bytes = ::read(read_end_.number(), text.data(), text.size());
    text.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    return text;
  }

  static std::string line(const std::string& text) { return fmt::format("pepsal[{}]: {}\n", ::getpid(), text); }

private:
  FileDescriptor before_{check("dup", ::dup(STDERR_FILENO))};
  FileDescriptor read_end_;
};

TEST_F(LogTest, LinesHaveTheProcessAndAreWhole)
{
  log::info("client={} up={}", "10.0.0.1:80", 7);
  log::warning("{} of {}", 1, 2);
  log::error("nothing to format: {{ and }}");
  EXPECT_EQ(logged(), line("client=10.0.0.1:80 up=7") + line("1 of 2") + line("nothing to format: { and }"));
}

TEST_F(LogTest, LongLinesAreNotCut)
{
  const std::string text(3000, 'x');
  log::info("{}", text);
  EXPECT_EQ(logged(), line(text));
}

TEST_F(LogTest, DebugLinesAppearOnDemand)
{
  log::debug("{}", 1);
  EXPECT_EQ(logged(), "");
  log::configure(true);
  log::debug("{}", 2);
  EXPECT_EQ(logged(), line("2"));
}

TEST_F(LogTest, LinesThatNobodyReadsAreCountedAndNotWaitedFor)
{
  std::atomic<std::uint64_t> lost{};
  const log::LossCount losses{lost};
  const std::string text(3000, 'x');
  constexpr unsigned lines = 100; // more than a pipe of 64 kB holds
  for (unsigned i = 0; i < lines; ++i) {
    log::info("{}", text);
  }
  const auto whole = logged();
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(whole.size(), (lines - lost) * line(text).size()) << "the others are whole";
}

TEST_F(LogTest, RepeatedWarningsAreHeldBack)
{
  log::RateLimit once{std::chrono::seconds{3600}};
  EXPECT_TRUE(once.allows());
  EXPECT_FALSE(once.allows());
  log::RateLimit always{std::chrono::seconds{0}};
  EXPECT_TRUE(always.allows());
  EXPECT_TRUE(always.allows());
}

} // namespace
} // namespace pepsal::test
