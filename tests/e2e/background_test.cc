// The daemon in the background: what it keeps from whoever started it, and how it talks to syslog.

#include "start.hh"

#include "pepsal/table.hh"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

namespace pepsal::test {

// With a third-party syslog daemon, at the socket where programs expect it.
class BackgroundTest : public StartTest
{
protected:
  void SetUp() override
  {
    StartTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    start_syslogd("messages");
  }

  void start_syslogd(const std::string& file)
  {
    syslogd_.reset();
    std::filesystem::remove(outside("/dev/log"));
    syslogd_ =
        std::make_unique<ChildProcess>(net().box().start({"busybox", "syslogd", "-n", "-O", Topology::inside(file)}));
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(outside("/dev/log")); })) << syslogd_->err();
  }

  void TearDown() override
  {
    if (HasFailure() && syslogd_) {
      std::fprintf(stderr, "--- syslog\n%s---\n", net().read_file("messages").c_str());
    }
    StartTest::TearDown();
    syslogd_.reset();
  }

  bool logged(const std::string& text)
  {
    return eventually([&] { return net().read_file("messages").find(text) != std::string::npos; });
  }

  // The manager by its title, which its children briefly have too.
  ProcessInfo manager()
  {
    std::vector<ProcessInfo> found;
    EXPECT_TRUE(eventually([&] {
      found = net().processes();
      std::erase_if(found, [](const auto& process) { return process.title != "pepsal: connection manager"; });
      return found.size() == 1;
    }));
    return found.at(0);
  }

  std::string pid_file(const std::string& instance)
  {
    std::ifstream file{outside(fmt::format("/run/pepsal/{}.pid", instance))};
    std::string pid;
    file >> pid;
    return pid;
  }

  std::unique_ptr<ChildProcess> syslogd_;
};

TEST_F(BackgroundTest, KeepsASchedulingPolicyThatWasChosenForIt)
{
  ASSERT_EQ(run_program(net(), "pepsal", {"-d"}, {"chrt", "-i", "0"}).status, 0);
  EXPECT_EQ(::sched_getscheduler(manager().pid), SCHED_IDLE);
  ::kill(manager().pid, SIGTERM);
  EXPECT_TRUE(eventually([&] { return what_is_left().empty(); })) << what_is_left();
}

TEST_F(BackgroundTest, ServesAsSoonAsTheCommandReturns)
{
  const auto listener = listen();
  start_rules(net(), Mode::tproxy);
  const auto started = run_program(net(), "pepsal", {"-d"});
  ASSERT_EQ(started.status, 0) << started.err;
  EXPECT_EQ(started.out + started.err, "");
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);

  const auto pid = std::to_string(manager().inner_pid);
  EXPECT_EQ(pid_file("default"), pid);
  EXPECT_TRUE(logged(fmt::format("daemon.info pepsal[{}]: ready: instance default, port 5000", pid)));
  EXPECT_TRUE(logged("]: closed client=10.77.1.2:"));
  EXPECT_TRUE(logged(" up=8 down=6 "));

  ::kill(manager().pid, SIGUSR1);
  EXPECT_TRUE(logged(fmt::format("pepsal[{}]: counter packets_queued=1", pid)));
  for (const auto& process : net().processes()) {
    if (process.title.starts_with("pepsal: queuer")) {
      ::kill(process.pid, SIGKILL);
    }
  }
  EXPECT_TRUE(logged(fmt::format("daemon.warn pepsal[{}]: queuer of queue 0 was lost", pid)));
  EXPECT_TRUE(logged("queuer of queue 0 restarted"));
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);

  ::kill(manager().pid, SIGTERM);
  EXPECT_TRUE(logged(fmt::format("pepsal[{}]: ended", pid)));
  EXPECT_TRUE(eventually([&] { return what_is_left().empty(); })) << what_is_left();
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
}

TEST_F(BackgroundTest, DetachesFromWhatStartedIt)
{
  const auto started = run_program(net(), "pepsal", {"-d", "--instance", "b", "--pidfile", Topology::inside("b.pid")});
  ASSERT_EQ(started.status, 0) << started.err;
  const auto process = manager();
  EXPECT_EQ(net().read_file("b.pid"), std::to_string(process.inner_pid));
  const auto folder = fmt::format("/proc/{}", process.pid);
  for (const auto* descriptor : {"0", "1", "2"}) {
    EXPECT_EQ(std::filesystem::read_symlink(folder + "/fd/" + descriptor), "/dev/null");
  }
  EXPECT_EQ(std::filesystem::read_symlink(folder + "/cwd").filename(), std::filesystem::path{"/"}.filename());
  ::kill(process.pid, SIGTERM);
  EXPECT_TRUE(logged("]: ended"));
  EXPECT_TRUE(eventually([&] { return what_is_left().empty(); })) << what_is_left();
  EXPECT_FALSE(std::filesystem::exists(net().outside("b.pid")));
}

// Whoever waits for the end of the command's output, or for a descriptor that it had, does not wait for the daemon.
TEST_F(BackgroundTest, KeepsNothingOfTheCallers)
{
  auto piped =
      net().box().start({"sh", "-c", program_path("pepsal") + " -d 9>" + Topology::inside("foreign") + " 2>&1 | cat"});
  EXPECT_EQ(piped.wait(), 0);
  for (const auto& process : net().processes()) {
    if (!process.title.starts_with("pepsal: ")) {
      continue;
    }
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator{fmt::format("/proc/{}/fd", process.pid), gone}) {
      const auto target = std::filesystem::read_symlink(entry, gone).string();
      EXPECT_EQ(target.find("foreign"), std::string::npos) << process.title;
      EXPECT_TRUE(!target.starts_with("pipe:") || process.title != "pepsal: queuer (queue 0)") << target;
    }
  }
  ::kill(manager().pid, SIGTERM);
  EXPECT_TRUE(eventually([&] { return what_is_left().empty(); })) << what_is_left();
}

// A syslog daemon that has stopped reading delays nobody, and what it misses is counted.
TEST_F(BackgroundTest, SyslogThatDoesNotReadStopsNoConnection)
{
  const auto listener = listen();
  start_rules(net(), Mode::tproxy);
  ASSERT_EQ(run_program(net(), "pepsal", {"-d"}).status, 0);
  syslogd_->signal(SIGSTOP);
  constexpr int many = 60; // the kernel keeps ten lines for it
  for (int i = 0; i < many; ++i) {
    EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  }
  std::istringstream status{run_program(net(), "pepsalctl", {"status"}).out};
  long lost = 0;
  for (std::string word; status >> word;) {
    if (word == "log_lines_lost") {
      status >> lost;
    }
  }
  EXPECT_GT(lost, 0);
  syslogd_->signal(SIGCONT);
  const auto before = net().read_file("messages").size();
  EXPECT_TRUE(eventually([&] {
    path_of_new_connection(listener);
    return net().read_file("messages").substr(before).find("closed client=") != std::string::npos;
  }));
  ::kill(manager().pid, SIGTERM);
  EXPECT_TRUE(eventually([&] { return what_is_left().empty(); })) << what_is_left();
}

// Confined processes cannot open its new socket: the manager does.
TEST_F(BackgroundTest, SyslogThatBeginsAnewGetsLines)
{
  const auto listener = listen();
  start_rules(net(), Mode::tproxy);
  ASSERT_EQ(run_program(net(), "pepsal", {"-d", "--gc-interval", "1"}).status, 0);
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  EXPECT_TRUE(logged("closed client="));
  start_syslogd("more-messages");
  EXPECT_TRUE(eventually([&] {
    path_of_new_connection(listener);
    return net().read_file("more-messages").find("closed client=") != std::string::npos;
  }));
  ::kill(manager().pid, SIGTERM);
  EXPECT_TRUE(eventually([&] { return what_is_left().empty(); })) << what_is_left();
}

TEST_F(BackgroundTest, NoSyslogIsNoReasonToFail)
{
  std::filesystem::remove(outside("/dev/log"));
  const auto listener = listen();
  start_rules(net(), Mode::tproxy);
  ASSERT_EQ(run_program(net(), "pepsal", {"-d"}).status, 0);
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  ::kill(manager().pid, SIGTERM);
  EXPECT_TRUE(eventually([&] { return what_is_left().empty(); })) << what_is_left();
}

} // namespace pepsal::test
