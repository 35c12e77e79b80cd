#include "shared/shared_segment.hh"

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pepsal::test {
namespace {

using Writer = SharedSegment::Writer;

class SharedSegmentTest : public testing::Test
{
protected:
  ~SharedSegmentTest() override { segment_.remove_name(); }
  SharedSegmentTest() = default;
  SharedSegmentTest(const SharedSegmentTest&) = delete;
  SharedSegmentTest& operator=(const SharedSegmentTest&) = delete;

  SharedSegment create() const { return SharedSegment::create(name_, {.max_connections = 64, .processes = 16}); }

  // The outcome of `body` in a process of its own: its result, or less than 0 for the signal that ended it.
  static int in_child(const std::function<int()>& body)
  {
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(body());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }

  // Whether such a process may write to the page that contains `object`.
  template<typename Object> bool may_write(Writer writer, Object& object)
  {
    auto& byte = *reinterpret_cast<volatile std::byte*>(&object);
    const auto outcome = in_child([&] {
      ::signal(SIGSEGV, SIG_DFL); // instead of a sanitizer's
      segment_.keep_to(writer);
      const auto value = byte;
      byte = value;
      return 0;
    });
    EXPECT_TRUE(outcome == 0 || outcome == -SIGSEGV) << outcome;
    return outcome == 0;
  }

  const std::string name_{fmt::format("segment{}", ::getpid())};
  SharedSegment segment_{create()};
};

TEST_F(SharedSegmentTest, EachWritesWhatIsItsAndNoMore)
{
  struct Row
  {
    Writer writer;
    bool peers;
    bool connections;
    bool states;
  };
  for (const auto& row : {Row{Writer::queuer, false, true, false}, Row{Writer::proxy, false, true, true},
                          Row{Writer::keeper, true, false, false}, Row{Writer::dialler, false, false, false}}) {
    const auto who = static_cast<int>(row.writer);
    EXPECT_FALSE(may_write(row.writer, segment_.header())) << who;
    EXPECT_FALSE(may_write(row.writer, segment_.roster()[0])) << who;
    EXPECT_EQ(may_write(row.writer, segment_.peers()[0]), row.peers) << who;
    EXPECT_TRUE(may_write(row.writer, segment_.activity())) << who;
    EXPECT_EQ(may_write(row.writer, segment_.buckets()[0]), row.connections) << who;
    EXPECT_EQ(may_write(row.writer, segment_.slots().back()), row.connections) << who;
    EXPECT_EQ(may_write(row.writer, segment_.process_states()[0]), row.states) << who;
  }
}

// Not by any call, whatever its user.
TEST_F(SharedSegmentTest, WhatWasTakenAwayCannotBeHadAgain)
{
  constexpr int page = 4096;
  EXPECT_EQ(in_child([&] {
              segment_.keep_to(Writer::proxy);
              return ::mprotect(&segment_.header(), page, PROT_READ | PROT_WRITE) == -1 ? errno : 0;
            }),
            EACCES);
  EXPECT_EQ(in_child([&] {
              segment_.keep_to(Writer::proxy);
              const auto* const mapped =
                  ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, segment_.descriptor_to_read(), 0);
              return mapped == MAP_FAILED ? errno : 0;
            }),
            EACCES);
  EXPECT_EQ(in_child([&] {
              segment_.keep_to(Writer::proxy);
              return segment_.descriptor() == -1 ? 0 : 1;
            }),
            0);
}

// A compromised proxy that outlives its manager could otherwise keep the next one from starting.
TEST_F(SharedSegmentTest, NobodyButAManagerIsTakenForOne)
{
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const auto tell = [&](int what) { EXPECT_EQ(::write(ends[1], &what, sizeof what), sizeof what); };
  const auto hear = [&] {
    int what = -1;
    EXPECT_EQ(::read(ends[0], &what, sizeof what), sizeof what);
    return what;
  };
  const pid_t proxy = ::fork();
  if (proxy == 0) {
    segment_.keep_to(Writer::proxy);
    struct flock first
    {};
    first.l_type = F_RDLCK;
    first.l_whence = SEEK_SET;
    first.l_len = 1;
    tell(::fcntl(segment_.descriptor_to_read(), F_SETLK, &first));
    tell(::fcntl(segment_.descriptor_to_read(), F_SETLKW, &first));
    first.l_type = F_WRLCK;
    tell(::fcntl(segment_.descriptor_to_read(), F_SETLK, &first));
    ::pause();
  }
  EXPECT_EQ(hear(), -1) << "while there is a manager";
  const auto before = std::exchange(segment_, SharedSegment::anonymous({.max_connections = 1, .processes = 1}));
  // Closing any descriptor of the file ends the manager's lock.
  FileDescriptor{::shm_open(("/pepsal." + name_).c_str(), O_RDONLY, 0)}.close();
  EXPECT_EQ(hear(), 0) << "the control: it can lock the same";
  EXPECT_EQ(hear(), -1) << "but not to write";
  EXPECT_FALSE(before.has_manager());
  EXPECT_NO_THROW(segment_ = create());
  ::kill(proxy, SIGKILL);
  ::waitpid(proxy, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

} // namespace
} // namespace pepsal::test
