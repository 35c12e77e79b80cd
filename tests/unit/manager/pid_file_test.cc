#include "manager/pid_file.hh"

#include <array>
#include <filesystem>
#include <fstream>
#include <optional>

#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/children.hh"
#include "util/file_descriptor.hh"
#include "util/system_error.hh"

namespace pepsal::test {
namespace {

class PidFileTest : public testing::Test
{
protected:
  PidFileTest()
  {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(std::filesystem::path{path_}.parent_path());
  }
  ~PidFileTest() override { std::filesystem::remove_all(directory_); }
  PidFileTest(const PidFileTest&) = delete;
  PidFileTest& operator=(const PidFileTest&) = delete;

  const std::filesystem::path directory_ = std::filesystem::path{testing::TempDir()} / fmt::format("pid{}", ::getpid());
  const std::string path_ = directory_ / "sub/test.pid";
};

TEST_F(PidFileTest, HoldsThePidWhileItLives)
{
  {
    const PidFile file{path_};
    pid_t pid = 0;
    std::ifstream{path_} >> pid;
    EXPECT_EQ(pid, ::getpid());
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(PidFileTest, SecondHolderIsTurnedAwayByName)
{
  const PidFile file{path_};
  try {
    const PidFile second{path_};
    FAIL() << "two hold the file";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(error.what(), fmt::format("pid file {} is held by the running process {}: stop it or choose another "
                                        "--pidfile",
                                        path_, ::getpid()));
  }
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(PidFileTest, WhatACrashLeftIsTakenOver)
{
  std::ofstream{path_} << "4194304";
  EXPECT_NO_THROW(PidFile{path_});
}

TEST_F(PidFileTest, PlaceThatCannotBeHasAReason)
{
  EXPECT_THROW(PidFile{"/proc/self/test.pid"}, SystemError);
}

TEST_F(PidFileTest, FolderIsNotMadeAsASideEffect)
{
  const auto folder = directory_ / "mistyped";
  try {
    const PidFile file{folder / "test.pid"};
    FAIL() << "the folder is made";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(error.what(), fmt::format("pid file {}: there is no folder {}: make it, or choose another --pidfile",
                                        (folder / "test.pid").string(), folder.string()));
  }
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(PidFileTest, LinkIsNotFollowed)
{
  const auto precious = directory_ / "precious";
  std::ofstream{precious} << "kept";
  std::filesystem::create_symlink(precious, path_);
  EXPECT_THROW(PidFile{path_}, SystemError);
  std::string text;
  std::ifstream{precious} >> text;
  EXPECT_EQ(text, "kept");
}

TEST_F(PidFileTest, FileOfAnotherUserIsNotUsed)
{
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can give a file away";
  }
  std::ofstream{path_} << "1";
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12345), 0);
  EXPECT_THROW(PidFile{path_}, std::runtime_error);
}

// Anyone who may read it can lock it, and it stays, empty, after a daemon with --user has ended.
TEST_F(PidFileTest, LockOfWhoMayOnlyReadItIsNoReasonNotToStart)
{
  std::filesystem::create_directories(std::filesystem::path{path_}.parent_path());
  std::ofstream{path_} << "1";
  const FileDescriptor other{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  ASSERT_EQ(::flock(other.number(), LOCK_EX | LOCK_NB), 0);
  struct flock whole
  {};
  whole.l_type = F_RDLCK;
  ASSERT_EQ(::fcntl(other.number(), F_OFD_SETLK, &whole), 0);
  const PidFile file{path_};
  pid_t pid = 0;
  std::ifstream{path_} >> pid;
  EXPECT_EQ(pid, ::getpid());
  EXPECT_THROW(PidFile{path_}, std::runtime_error) << "and it is held";
}

// A child has neither the file nor its lock, which fork(2) shares.
TEST_F(PidFileTest, ChildLetsGoWithoutRemoving)
{
  auto segment = SharedSegment::anonymous({.max_connections = 10, .processes = 4});
  Children children{segment};
  std::optional<PidFile> file{path_};
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  const FileDescriptor read_end{ends[0]};
  FileDescriptor write_end{ends[1]};
  const auto child = children.spawn(Children::Role::proxy, 0, {write_end.number()}, [&](Owner) {
    const char begun = '.';
    return ::write(write_end.number(), &begun, 1) == 1 ? ::pause() : EXIT_FAILURE;
  });
  char begun{};
  ASSERT_EQ(::read(read_end.number(), &begun, 1), 1);
  EXPECT_TRUE(std::filesystem::exists(path_));
  file.reset();
  file.emplace(path_);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(std::filesystem::exists(path_));
}

} // namespace
} // namespace pepsal::test
