// The daemon and the system: wrong command lines, failing starts, signals, and what a crash leaves behind that a clean
// end does not.

#include "start.hh"

#include "pepsal/table.hh"

#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>

namespace pepsal::test {

namespace {

// Overwrites bytes of a file in the sandbox.
void patch(const std::string& path, std::streamoff at, const std::string& bytes)
{
  std::fstream file{path, std::ios::binary | std::ios::in | std::ios::out};
  file.seekp(at);
  file << bytes << std::flush;
  ASSERT_TRUE(file) << path;
}

} // namespace

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
      {{"-d", "--pidfile", "pepsal.pid"}, {"--pidfile", "'pepsal.pid'", "absolute path"}},
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
  // If nothing is shared, there is no conflict.
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

// The limit on proxies is for all listeners together, and the general one's idle proxies would use it up.
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
  // A new process briefly has its parent's title.
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

// Nobody redirected it, so its destination is unknown. Existing rules would drop it before that
// (iptables_site_test.sh).
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
  expect_log_lines("refused client=", 1); // one a minute, whoever causes them
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

// Memory that is not available when it is first touched would cause a SIGBUS.
TEST_F(StartTest, FullSharedMemoryIsNamedAtTheStart)
{
  net().box().must_run({"mount", "-o", "remount,size=64k", "/dev/shm"});
  expect_refused(exit_environment, {{}, {shared_memory, "bytes", "--max-connections", "No space"}});
  EXPECT_FALSE(std::filesystem::exists(outside(shared_memory)));
  net().box().must_run({"mount", "-o", "remount,size=64m", "/dev/shm"});
  start_daemon();
  start_rules(net(), Mode::tproxy);
  std::ofstream{outside("/dev/shm/filler")} << std::string(64'000'000, 'x'); // as much of it as fits
  EXPECT_EQ(path_of_new_connection(listen()), Path::proxied);
  std::filesystem::remove(outside("/dev/shm/filler"));
}

} // namespace pepsal::test
