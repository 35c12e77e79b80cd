// What all end-to-end cases share: set-up, tear-down and the checks after every case.

#include "fixture.hh"

#include <csignal>
#include <filesystem>

#include <fmt/format.h>
#include <unistd.h>

namespace pepsal::test {

namespace {

// Sanitizers check the programs under test, which do nothing in direct arrangements, and nothing different when the
// kernel masquerades.
constexpr bool sanitized = PEPSAL_SANITIZED == 1;

std::vector<Arrangement> arrangements(std::initializer_list<Mode> modes, std::initializer_list<bool> masquerades)
{
  std::vector<Arrangement> result;
  for (const auto mode : modes) {
    for (const auto family : {Family::ipv4, Family::ipv6}) {
      for (const auto masquerade : masquerades) {
        if (sanitized && (mode == Mode::direct || masquerade)) {
          continue;
        }
        result.push_back({.mode = mode, .family = family, .masquerade = masquerade});
      }
    }
  }
  return result;
}

} // namespace

int end_of(const Connection& connection)
{
  return error_of([&] { connection.receive_all(); });
}

void Pair::talk() const
{
  client.send("question");
  EXPECT_EQ(server.receive_text(8), "question");
  server.send("answer");
  EXPECT_EQ(client.receive_text(6), "answer");
}

std::string Arrangement::name() const
{
  const auto* mode_name = mode == Mode::direct ? "Direct" : mode == Mode::tproxy ? "Tproxy" : "Redirect";
  return fmt::format("{}{}{}", mode_name, family == Family::ipv4 ? "V4" : "V6", masquerade ? "Masquerade" : "");
}

void PrintTo(const Arrangement& arrangement, std::ostream* out)
{
  *out << arrangement.name();
}

std::vector<Arrangement> every_mode()
{
  return arrangements({Mode::direct, Mode::tproxy, Mode::redirect}, {false});
}

std::vector<Arrangement> every_mode_and_masquerade()
{
  return arrangements({Mode::direct, Mode::tproxy, Mode::redirect}, {false, true});
}

std::vector<Arrangement> modes_that_keep_ports()
{
  return arrangements({Mode::direct, Mode::tproxy}, {false});
}

std::vector<Arrangement> proxied_modes()
{
  return arrangements({Mode::tproxy, Mode::redirect}, {false});
}

std::vector<Arrangement> proxied_modes_and_masquerade()
{
  return arrangements({Mode::tproxy, Mode::redirect}, {false, true});
}

std::string arrangement_name(const testing::TestParamInfo<Arrangement>& info)
{
  return info.param.name();
}

void NetworkTest::SetUp()
{
  RootTest::SetUp();
  if (!IsSkipped() && !HasFatalFailure()) {
    topology_ = std::make_unique<Topology>();
  }
}

void NetworkTest::TearDown()
{
  if (!topology_) {
    return;
  }
  if (daemon_) {
    EXPECT_EQ(daemon_->stop(), 0) << "the daemon's end";
    if (HasFailure()) {
      std::fprintf(stderr, "--- log of the daemon\n%s---\n", daemon_->log().c_str());
    }
  }
  eventually([&] { return what_is_left().empty(); }, std::chrono::seconds{5});
  EXPECT_EQ(what_is_left(), "");
  EXPECT_EQ(sanitizer_reports(*topology_), "");
}

void NetworkTest::start_daemon(DaemonOptions options)
{
  daemon_ = std::make_unique<Daemon>(*topology_, std::move(options));
}

void NetworkTest::expect_log_lines(const std::string& text, std::size_t number)
{
  eventually([&] { return daemon().log_lines(text) >= number; });
  EXPECT_EQ(daemon().log_lines(text), number) << text << '\n' << daemon().log();
}

Listener NetworkTest::listen(Family family, std::uint16_t port)
{
  return {net().server(), Topology::server_address(family, port)};
}

Pair NetworkTest::connect(const Listener& listener)
{
  auto client = Connection::connect(net().client(), listener.local());
  return {.client = std::move(client), .server = listener.accept()};
}

NetworkTest::Path NetworkTest::path_of_new_connection(const Listener& listener)
{
  const auto before = net().box().snmp("Tcp", "PassiveOpens");
  connect(listener).talk();
  return net().box().snmp("Tcp", "PassiveOpens") > before ? Path::proxied : Path::direct;
}

ProcessInfo NetworkTest::proxy_of(const Connection& client)
{
  const auto title = fmt::format("proxy {} -> {}", client.local().to_string(), client.remote().to_string());
  EXPECT_TRUE(eventually([&] { return daemon().processes(title).size() == 1; })) << title;
  return daemon().processes(title).at(0);
}

void NetworkTest::kill(const ProcessInfo& process)
{
  ASSERT_EQ(::kill(process.pid, SIGKILL), 0) << process.title;
}

void NetworkTest::change_firewall(const Host& host, const char* action, std::initializer_list<const char*> chains)
{
  for (const auto* program : {"iptables", "ip6tables"}) {
    for (const auto* chain : chains) {
      host.must_run({program, "-w", action, chain, "-p", "tcp", "-j", "DROP"});
    }
  }
}

void NetworkTest::kill_everything()
{
  const auto alive = [&] {
    auto found = topology_->processes();
    std::erase_if(found, [](const auto& process) { return !process.title.starts_with("pepsal: "); });
    return found;
  };
  EXPECT_TRUE(eventually([&] {
    const auto victims = alive();
    for (const auto& process : victims) {
      ::kill(process.pid, SIGKILL); // some have ended with their manager
    }
    return victims.empty();
  }));
}

std::string NetworkTest::what_is_left()
{
  std::string found;
  for (const auto& process : topology_->processes()) {
    if (process.title.find("pepsal") != std::string::npos) {
      found += fmt::format("process {}\n", process.title);
    }
  }
  for (const auto* folder : {"/dev/shm", "/run/pepsal"}) {
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator{topology_->sandbox().outside(folder), missing}) {
      // A daemon that is no longer root empties its pid file instead, and leaves its control socket.
      const auto kind = entry.path().extension();
      if (kind != ".ctl" && (kind != ".pid" || entry.file_size() > 0)) {
        found += fmt::format("file {}/{}\n", folder, entry.path().filename().string());
      }
    }
  }
  return found;
}

void ConnectionTest::SetUp()
{
  NetworkTest::SetUp();
  if (IsSkipped() || HasFatalFailure()) {
    return;
  }
  if (GetParam().masquerade) {
    net().masquerade();
  }
  if (proxied()) {
    start_daemon(daemon_options());
    start_rules(net(), GetParam().mode);
  }
}

void ConnectionTest::intercept_both_sides()
{
  net().box().must_run({script_path("steering/pepsal-iptables"), "start", "--intercept", "client0", "--intercept",
                        "server0", "--mode", GetParam().mode == Mode::redirect ? "redirect" : "tproxy"});
}

std::string ConnectionTest::expected_source() const
{
  const bool boxes_own = GetParam().masquerade || GetParam().mode == Mode::redirect;
  return (boxes_own ? Topology::box_server_side(family()) : Topology::client_address(family())).address_string();
}

void ConnectionTest::expect_proxied(long connections_at_least)
{
  const auto accepted_by_kernel = net().box().snmp("Tcp", "PassiveOpens");
  const auto dialled_by_kernel = net().box().snmp("Tcp", "ActiveOpens");
  if (!proxied()) {
    EXPECT_EQ(accepted_by_kernel, 0);
    EXPECT_EQ(dialled_by_kernel, 0);
    return;
  }
  EXPECT_GE(accepted_by_kernel, connections_at_least);
  EXPECT_GE(dialled_by_kernel, connections_at_least);
  const auto counters = daemon().counters();
  EXPECT_GE(counters.at("connections_opened"), connections_at_least);
  EXPECT_EQ(counters.at("direct_connections_refused"), 0);
}

void ConnectionTest::expect_closing_lines(std::size_t at_least)
{
  if (proxied()) {
    eventually([&] { return daemon().log_lines("closed client=") >= at_least; });
    EXPECT_GE(daemon().log_lines("closed client="), at_least);
  }
}

} // namespace pepsal::test
