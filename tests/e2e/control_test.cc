// Commands to the running daemon: connections killed, drains, told rates, and who may command.

#include "commands.hh"
#include "transfers.hh"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace pepsal::test {

class ControlTest : public CommandTest
{};

TEST_F(ControlTest, KillResetsOneConnectionAtBothEnds)
{
  const auto listener = listen();
  auto victim = connect(listener);
  auto other = connect(listener);
  const auto which = victim.client.local().to_string();
  EXPECT_EQ(command({"kill", which}).status, 0);
  EXPECT_EQ(end_of(victim.client), ECONNRESET);
  EXPECT_EQ(end_of(victim.server), ECONNRESET);
  other.talk();
  const auto line = daemon().log_line("closed client=" + which);
  ASSERT_TRUE(line);
  EXPECT_NE(line->find("reason=killed-by-command"), std::string::npos) << *line;
  const auto gone = command({"kill", which});
  EXPECT_EQ(gone.status, 1);
  EXPECT_NE(gone.err.find("there is no connection"), std::string::npos) << gone.err;
}

TEST_F(ControlTest, ADrainIsAnnouncedBeforeItBeginsAndMayBeTakenBack)
{
  const auto listener = listen();
  EXPECT_EQ(command({"drain", "--grace", "3600"}).status, 0);
  EXPECT_EQ(daemon().counter("leaving"), 1);
  EXPECT_EQ(daemon().counter("draining"), 0);
  EXPECT_EQ(path_of_new_connection(listener), Path::proxied);
  EXPECT_EQ(command({"undrain"}).status, 0);
  EXPECT_EQ(daemon().counter("leaving"), 0);
  EXPECT_EQ(command({"drain", "--grace", "1"}).status, 0);
  EXPECT_EQ(daemon().process().wait(), 0);
}

// What the box's kernel reports for this connection: its receive buffer in bytes (ss(8): skmem's rb).
std::string receive_buffer(Topology& net, const Connection& client)
{
  const auto text = net.box().must_run({"ss", "-tmnH", "dst", client.local().to_string()});
  const auto at = text.find(",rb");
  return at == std::string::npos ? text : text.substr(at, text.find(',', at + 1) - at);
}

TEST_F(ControlTest, ARateThatIsToldHoldsForNewConnections)
{
  EXPECT_EQ(daemon().stop(), 0);
  const std::string link = "client0 rate=50/10 rtt=600 side=gateway";
  start_daemon({.arguments = {"--link", link}});
  const auto path = "PATH=" + script_path("system") + ":/usr/sbin:/usr/bin:/sbin:/bin";
  const auto bin = "PEPSAL_BIN_DIR=" + std::filesystem::path{program_path("pepsal")}.parent_path().string();
  const auto tell = [&](const std::string& rate) {
    return run_program(net(), "pepsalctl", {"link", "client0", "--rate", rate}, {"env", path, bin});
  };
  net().box().must_run({"env", bin, script_path("system/pepsal-satlink"), "start", "--interface", "client0", "--rate",
                        "50/10", "--rtt", "600", "--side", "gateway"});
  const auto listener = listen();
  const auto first = connect(listener);
  const auto told = tell("20/5");
  EXPECT_EQ(told.status, 0) << told.err << daemon().log();
  const auto shaper = net().box().must_run({"tc", "class", "show", "dev", "client0"});
  EXPECT_NE(shaper.find("rate 19"), std::string::npos) << shaper;
  const auto second = connect(listener);
  EXPECT_NE(receive_buffer(net(), second.client), receive_buffer(net(), first.client));
  EXPECT_EQ(command({"reload"}).status, 0);
  ASSERT_EQ(command({"restart"}).status, 0) << daemon().log();
  const auto third = connect(listener);
  EXPECT_EQ(receive_buffer(net(), third.client), receive_buffer(net(), second.client));
  first.talk();
  daemon().signal(SIGKILL);
  daemon().process().wait();
  start_daemon({.arguments = {"--link", link}});
  EXPECT_EQ(receive_buffer(net(), connect(listener).client), receive_buffer(net(), second.client));
  EXPECT_EQ(tell("fast").status, 2);
  const auto unknown = command({"link", "sat7", "--rate", "20/5"});
  EXPECT_NE(unknown.err.find("'sat7' is not a link"), std::string::npos) << unknown.err;
  net().box().must_run({"env", bin, script_path("system/pepsal-satlink"), "stop", "--interface", "client0"});
}

TEST_F(ControlTest, OnlyRootMayCommand)
{
  const auto result = run_program(net(), "pepsalctl", {"undrain"}, {"setpriv", "--reuid=65534", "--clear-groups"});
  EXPECT_EQ(result.status, 1) << result.out;
}

} // namespace pepsal::test
