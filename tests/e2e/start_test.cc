// The daemon as the system meets it: wrong command lines, starts that fail, the background, syslog,
// signals, what a crash leaves behind and what a clean end does not.

#include "fixture.hh"

#include "pepsal/table.hh"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

namespace pepsal::test {

namespace {

constexpr std::uint16_t proxy_port = 5000;
constexpr int exit_usage = 2;
constexpr int exit_environment = 1;
constexpr const char* shared_memory = "/dev/shm/pepsal.default";

struct Refusal
{
  std::vector<std::string> arguments;
  std::vector<std::string> named; // what the one line must say
};

// A byte-wise overwrite of a file of the sandbox.
void patch(const std::string& path, std::streamoff at, const std::string& bytes)
{
  std::fstream file{path, std::ios::binary | std::ios::in | std::ios::out};
  file.seekp(at);
  file << bytes << std::flush;
  ASSERT_TRUE(file) << path;
}

} // namespace

class StartTest : public NetworkTest
{
protected:
  // The daemon must not start, say why in one line, and leave all as it was.
  void expect_refused(int status, const Refusal& refusal, const std::vector<std::string>& prefix = {})
  {
    const auto before = what_is_left();
    const auto result = run_program(net(), "pepsal", refusal.arguments, prefix);
    SCOPED_TRACE(Command{.arguments = refusal.arguments}.to_string());
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(result.err.starts_with("pepsal: ")) << result.err;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    for (const auto& text : refusal.named) {
      EXPECT_NE(result.err.find(text), std::string::npos) << "no '" << text << "' in: " << result.err;
    }
    EXPECT_EQ(what_is_left(), before);
  }

  // Has the file read again, and waits until no proxy that was idle before is left.
  void reload()
  {
    const auto old = daemon().processes("proxy idle");
    daemon().signal(SIGHUP);
    ASSERT_TRUE(daemon().log_line("configuration read again").has_value());
    EXPECT_TRUE(eventually([&] {
      const auto now = daemon().processes("proxy idle");
      return std::ranges::none_of(now, [&](const auto& process) {
        return std::ranges::any_of(old, [&](const auto& before) { return before.pid == process.pid; });
      });
    }));
  }

  std::string outside(const std::string& path) { return net().sandbox().outside(path); }
};

TEST_F(StartTest, WrongUsageIsNamedInOneLine)
{
  net().write_file("key.conf", "colour=blue\n");
  net().write_file("value.conf", "port=99999\n");
  const std::vector<Refusal> refusals{
      {{"--colour"}, {"--colour"}},
      {{"word"}, {"word"}},
      {{"--port"}, {"--port", "needs a value"}},
      {{"--port", "0"}, {"--port", "\'0\'", "1 to 65535"}},
      {{"--port", "65536"}, {"--port", "\'65536\'", "1 to 65535"}},
      {{"--port", "http"}, {"--port", "\'http\'", "1 to 65535"}},
      {{"-p", "-1"}, {"--port", "\'-1\'", "1 to 65535"}},
      {{"-p", "99999999999999999999"}, {"--port", "\'99999999999999999999\'", "1 to 65535"}},
      {{"--address", "1.2.3"}, {"--address", "'1.2.3'", "IPv4 or IPv6"}},
      {{"--queue", "65536"}, {"--queue", "'65536'", "0 to 65535"}},
      {{"--queue", "3:1"}, {"--queue", "'3:1'", "lowest first"}},
      {{"--queue", "1:2:3"}, {"--queue", "'1:2:3'", "N or N:M"}},
      {{"--queue", ""}, {"--queue", "needs a value"}},
      {{"--max-connections", "0"}, {"--max-connections", "\'0\'", "1 to 1000000"}},
      {{"-c", "many"}, {"--max-connections", "\'many\'", "1 to 1000000"}},
      {{"--pending-lifetime", "0"}, {"--pending-lifetime", "\'0\'", "1 to 3600"}},
      {{"--gc-interval", "1h"}, {"--gc-interval", "\'1h\'", "1 to 3600"}},
      {{"--spare-proxies", "0"}, {"--spare-proxies", "\'0\'", "1 to 1024"}},
      {{"--proxy-reuse", "0"}, {"--proxy-reuse", "\'0\'", "1 to 1000000000"}},
      {{"--connect-timeout", "601"}, {"--connect-timeout", "\'601\'", "1 to 600"}},
      {{"--drain-timeout", "-1"}, {"--drain-timeout", "\'-1\'", "0 to 86400"}},
      {{"--mark-shift", "29"}, {"--mark-shift", "\'29\'", "0 to 28"}},
      {{"--max-segment-size", "87"}, {"--max-segment-size", "\'87\'", "88 to 65495"}},
      {{"--source", "mine"}, {"--source", "'mine'", "preserve or own"}},
      {{"--instance", "a/b"}, {"--instance", "'a/b'", "letters"}},
      {{"--instance", ""}, {"--instance", "needs a value"}},
      {{"--config", "/nonexistent"}, {"/nonexistent"}},
      {{"-d", "--pidfile", "pepsal.pid"}, {"--pidfile", "'pepsal.pid'", "path from the root"}},
      {{"--config", Topology::inside("key.conf")}, {"colour"}},
      {{"--config", Topology::inside("value.conf")}, {"port", "99999", "1 to 65535"}},
  };
  for (const auto& refusal : refusals) {
    expect_refused(exit_usage, refusal);
  }
}

TEST_F(StartTest, WhatTheSystemLacksIsNamedInOneLine)
{
  expect_refused(exit_environment, {{"--congestion", "nosuch"}, {"'nosuch'", "reno", "modprobe tcp_nosuch"}});
  expect_refused(exit_environment, {{"-d", "--terrestrial-congestion", "nosuch"}, {"'nosuch'"}});
  expect_refused(exit_environment, {{"--link", "eth77"}, {"'eth77'", "ip link"}});
  expect_refused(exit_environment, {{"--user", "nosuchuser"}, {"'nosuchuser'"}});
  const std::vector<std::string> without_privilege{"setpriv", "--bounding-set", "-net_admin"};
  expect_refused(exit_environment, {{}, {"CAP_NET_ADMIN", "root"}}, without_privilege);
  expect_refused(exit_environment, {{"-d"}, {"CAP_NET_ADMIN", "root"}}, without_privilege);
  const Listener other{net().box(), Endpoint::parse("::", proxy_port).value()};
  expect_refused(exit_environment, {{}, {"5000", "taken", "--port"}});
}

TEST_F(StartTest, SecondInstanceIsRefusedAndTheFirstGoesOn)
{
  const auto listener = listen();
  start_daemon();
  start_rules(net(), Mode::tproxy);
  expect_refused(exit_environment, {{"--port", "5001", "--queue", "1"}, {"'default'", "running", "--instance"}});
  expect_refused(exit_environment, {{"--instance", "b", "--queue", "1"}, {"5000", "taken", "--port"}});
  expect_refused(exit_environment, {{"--instance", "b", "--port", "5001"}, {"NFQUEUE 0", "--queue"}});
  expect_refused(exit_environment, {{"-d", "--instance", "b", "--port", "5001"}, {"NFQUEUE 0", "--queue"}});
  expect_refused(exit_environment,
                 {{"--instance", "b", "--port", "5001", "--queue", "1", "--pidfile", "/run/pepsal/default.pid"},
                  {"/run/pepsal/default.pid", "--pidfile"}});
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  // Where nothing is shared there is no conflict.
  Daemon second{net(), {.arguments = {"--port", "5001", "--queue", "1"}, .instance = "b"}};
  EXPECT_EQ(second.stop(), 0);
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
}

TEST_F(StartTest, ForeignSharedMemoryIsLeftAlone)
{
  start_daemon();
  kill_everything();
  forget_daemon();
  ASSERT_TRUE(std::filesystem::exists(outside(shared_memory)));
  patch(outside(shared_memory), 0, "whatever");
  expect_refused(exit_environment, {{}, {shared_memory, "not PEPsal's", "remove"}});
  std::filesystem::remove(outside(shared_memory));
  start_daemon();
}

TEST_F(StartTest, ATableOfAnotherVersionThatNobodyHoldsIsReplaced)
{
  start_daemon();
  kill_everything();
  forget_daemon();
  patch(outside(shared_memory), offsetof(Header, version), std::string{"\x7f\0\0\0", 4});
  start_daemon();
  EXPECT_EQ(daemon().counter("entries"), 0);
}

TEST_F(StartTest, AfterACrashTheNextStartCleansUp)
{
  const auto listener = listen();
  start_daemon();
  start_rules(net(), Mode::tproxy);
  const auto pair = connect(listener);
  pair.talk();
  kill_everything();
  forget_daemon();
  EXPECT_EQ(end_of(pair.client), ECONNRESET);
  EXPECT_EQ(end_of(pair.server), ECONNRESET);
  EXPECT_NE(what_is_left(), "") << "a crash that leaves nothing shows nothing";
  EXPECT_EQ(path_of_new_connection(listener), Path::direct);
  start_daemon();
  EXPECT_EQ(daemon().counter("entries"), 0);
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
}

TEST_F(StartTest, ReloadCountsForNewConnections)
{
  const auto listener = listen();
  net().write_file("pepsal.conf", "source=preserve\n");
  start_daemon({.arguments = {"--config", Topology::inside("pepsal.conf")}});
  start_rules(net(), Mode::tproxy);
  const auto before = connect(listener);
  EXPECT_EQ(before.server.remote().address_string(), Topology::client_address(Family::ipv4).address_string());

  net().write_file("pepsal.conf", "source=own\n");
  reload();
  EXPECT_EQ(connect(listener).server.remote().address_string(),
            Topology::box_server_side(Family::ipv4).address_string());
  before.talk();

  net().write_file("pepsal.conf", "source=mine\n");
  daemon().signal(SIGHUP);
  const auto refused = daemon().log_line("configuration not read");
  ASSERT_TRUE(refused.has_value());
  EXPECT_NE(refused->find("'mine'"), std::string::npos) << *refused;
  EXPECT_EQ(connect(listener).server.remote().address_string(),
            Topology::box_server_side(Family::ipv4).address_string());
  before.talk();
}

TEST_F(StartTest, ReloadNamesTheOneOptionThatTakesARestart)
{
  net().write_file("pepsal.conf", "port=5000\n");
  start_daemon({.arguments = {"--config", Topology::inside("pepsal.conf")}});
  net().write_file("pepsal.conf", "port=5001\nverbose=true\n");
  reload();
  const auto warning = daemon().log_line("only with a restart");
  ASSERT_TRUE(warning.has_value());
  EXPECT_TRUE(warning->ends_with("port changes only with a restart")) << *warning;
}

TEST_F(StartTest, CheckSaysWhatTheConfigurationMeansWithoutStarting)
{
  net().write_file("pepsal.conf", "link = client0 rate=50/10 rtt=600 side=gateway\n");
  const auto check = [&] {
    return run_program(net(), "pepsal", {"--check", "--config", Topology::inside("pepsal.conf")});
  };
  net().box().must_run({"sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"});
  const auto sound = check();
  EXPECT_EQ(sound.status, 0) << sound.out;
  EXPECT_NE(sound.out.find("link client0: 50 Mbit/s to the users"), std::string::npos) << sound.out;
  EXPECT_EQ(what_is_left(), "");

  net().box().must_run({"sysctl", "-qw", "net.ipv4.ip_forward=0"});
  const auto lacking = check();
  EXPECT_EQ(lacking.status, exit_environment);
  EXPECT_NE(lacking.out.find("sysctl -w net.ipv4.ip_forward=1"), std::string::npos) << lacking.out;

  net().write_file("pepsal.conf", "link = client0 rate=50\n");
  EXPECT_EQ(check().status, exit_usage);
}

// As if it had never been said: on the listeners, from which accepted connections inherit, and on dials.
TEST_F(StartTest, ReloadTakesBackWhatTheFileNoLongerSays)
{
  const auto by_default = net().box().must_run({"sysctl", "-n", "net.ipv4.tcp_congestion_control"});
  const std::string other = by_default.starts_with("reno") ? "cubic" : "reno";
  const auto legs_with_the_other = [&] {
    std::istringstream words{net().box().must_run({"ss", "-tinH", "state", "established"})};
    return std::count(std::istream_iterator<std::string>{words}, {}, other);
  };
  const auto listener = listen();
  net().write_file("pepsal.conf", "congestion=" + other + "\n");
  start_daemon({.arguments = {"--config", Topology::inside("pepsal.conf")}});
  start_rules(net(), Mode::tproxy);
  const auto before = connect(listener);
  before.talk();
  EXPECT_EQ(legs_with_the_other(), 2);

  net().write_file("pepsal.conf", "max-connections=100000\n");
  reload();
  EXPECT_TRUE(daemon().log_line("more take a stop and a start").has_value());
  const auto after = connect(listener);
  after.talk();
  EXPECT_EQ(legs_with_the_other(), 2);
}

// The limit on proxies is for all listeners together, and the general one's idle proxies would take it all.
TEST_F(StartTest, EachListenerHasAProxyHoweverFewThereMayBe)
{
  const auto listener = listen();
  start_daemon({.arguments = {"--max-connections", "2", "--spare-proxies", "8", "--link", "client0"}});
  start_rules(net(), Mode::tproxy);
  connect(listener).talk();
}

TEST_F(StartTest, SignalUsr1LogsTheCounters)
{
  const auto listener = listen();
  start_daemon();
  start_rules(net(), Mode::tproxy);
  const auto pair = connect(listener);
  pair.talk();
  daemon().signal(SIGUSR1);
  EXPECT_TRUE(daemon().log_line("counter packets_queued=1").has_value());
  EXPECT_TRUE(daemon().log_line("counter connections_opened=1").has_value());
  EXPECT_TRUE(daemon().log_line("counter entries=1").has_value());
  pair.talk();
}

TEST_F(StartTest, ProcessesAreTitledByWhatTheyDo)
{
  const auto listener = listen();
  start_daemon({.arguments = {"--queue", "0:1"}});
  start_rules(net(), Mode::tproxy);
  const auto pair = connect(listener);
  pair.talk();
  // A new process bears its parent's title for a moment.
  EXPECT_TRUE(eventually([this] { return daemon().processes("connection manager").size() == 1; }));
  EXPECT_EQ(daemon().processes("queuer (queue 0)").size(), 1);
  EXPECT_EQ(daemon().processes("queuer (queue 1)").size(), 1);
  EXPECT_EQ(daemon()
                .processes(fmt::format("proxy {} -> {}", pair.client.local().to_string(), listener.local().to_string()))
                .size(),
            1);
  EXPECT_GE(daemon().processes("proxy idle").size(), 1);
}

TEST_F(StartTest, TitlesMayHideConnections)
{
  const auto listener = listen();
  start_daemon({.arguments = {"--hide-connections"}});
  start_rules(net(), Mode::tproxy);
  const auto pair = connect(listener);
  pair.talk();
  EXPECT_TRUE(eventually([this] { return daemon().processes("proxy busy").size() == 1; }));
  for (const auto& process : daemon().processes()) {
    for (const auto& end : {pair.client.local(), listener.local()}) {
      EXPECT_EQ(process.title.find(end.address_string()), std::string::npos) << process.title;
    }
  }
}

TEST_F(StartTest, ProcessesRunInTurn)
{
  start_daemon();
  for (const auto& process : daemon().processes()) {
    EXPECT_EQ(::sched_getscheduler(process.pid), SCHED_BATCH) << process.title;
  }
}

TEST_F(StartTest, TooFewDescriptorsAreNamed)
{
  expect_refused(exit_environment, {{}, {"16 descriptors", "17 are needed", "ulimit -n"}},
                 {"prlimit", "--nofile=16:16", "--"});
}

// Nobody redirected it, so nobody knows where it wants to go.
// Where rules stand, they drop it before that (iptables_site_test.sh).
TEST_F(StartTest, DirectConnectionIsClosedAndCounted)
{
  start_daemon();
  const auto forked = daemon().counter("proxies_forked");
  for (const auto family : {Family::ipv4, Family::ipv6}) {
    for (const auto& to :
         {Topology::box_client_side(family, proxy_port), Topology::box_server_side(family, proxy_port)}) {
      // The reset may come before connect(2) returns.
      EXPECT_EQ(error_of([&] { Connection::connect(net().client(), to).receive_all(); }), ECONNRESET) << to.to_string();
    }
  }
  EXPECT_TRUE(eventually([&] { return daemon().counter("direct_connections_refused") == 4; }));
  EXPECT_EQ(daemon().counter("connections_opened"), 0);
  EXPECT_EQ(daemon().log_lines("refused client="), 1) << "one a minute, whoever causes them";
  EXPECT_TRUE(eventually([&] { return daemon().counter("idle") >= 8; }));
  EXPECT_LT(daemon().counter("proxies_forked"), forked + 4) << "a process for each";
}

// Any local user may create and lock a file there.
TEST_F(StartTest, SharedMemoryOfAnotherUserIsNoReasonNotToStart)
{
  const auto place = outside(shared_memory);
  std::ofstream{place} << std::string(100'000, 'x');
  ASSERT_EQ(::chown(place.c_str(), 12345, 12345), 0);
  const FileDescriptor its{::open(place.c_str(), O_RDWR | O_CLOEXEC)};
  struct flock whole
  {};
  whole.l_type = F_WRLCK;
  ASSERT_EQ(::fcntl(its.number(), F_SETLK, &whole), 0);
  start_daemon();
  start_rules(net(), Mode::tproxy);
  EXPECT_EQ(path_of_new_connection(listen()), Path::proxied);
}

// Memory that is not there when it is first touched would be a SIGBUS.
TEST_F(StartTest, FullSharedMemoryIsNamedAtTheStart)
{
  net().box().must_run({"mount", "-o", "remount,size=64k", "/dev/shm"});
  expect_refused(exit_environment, {{}, {shared_memory, "bytes", "--max-connections", "No space"}});
  EXPECT_FALSE(std::filesystem::exists(outside(shared_memory)));
  net().box().must_run({"mount", "-o", "remount,size=64m", "/dev/shm"});
  start_daemon();
  start_rules(net(), Mode::tproxy);
  std::ofstream{outside("/dev/shm/filler")} << std::string(64'000'000, 'x'); // as much of it as there is room for
  EXPECT_EQ(path_of_new_connection(listen()), Path::proxied);
  std::filesystem::remove(outside("/dev/shm/filler"));
}

// With a syslog daemon that nobody here wrote, at the socket where programs expect it.
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

  // The manager by its title, which its children bear for a moment too.
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
  EXPECT_TRUE(logged("queuer of queue 0 started again"));
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

// Whoever waits for the end of what the command prints, or for a descriptor that it had, does not wait for the daemon.
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
