#pragma once

#include "support/daemon.hh"
#include "support/eventually.hh"
#include "support/socket.hh"
#include "support/topology.hh"

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace pepsal::test {

// One arrangement that a case is run in. The direct ones are the control: no proxy, same network.
struct Arrangement
{
  Mode mode;
  Family family;
  bool masquerade{};

  std::string name() const; // such as TproxyV6Masquerade
};

void PrintTo(const Arrangement& arrangement, std::ostream* out);

// For INSTANTIATE_TEST_SUITE_P: every mode over both families; and the same with masquerading.
std::vector<Arrangement> every_mode();
std::vector<Arrangement> every_mode_and_masquerade();
std::vector<Arrangement> proxied_modes();
std::string arrangement_name(const testing::TestParamInfo<Arrangement>& info);

// A test with the three hosts. Skipped without root, except in CI, where that is a failure. After each
// test: everything stops with exit 0, nothing is left in the box, no sanitizer has reported.
class NetworkTest : public testing::Test
{
protected:
  void SetUp() override;
  void TearDown() override;

  Topology& net() { return *topology_; }
  // Starts the daemon and, unless told otherwise, the rules.
  void start_daemon(DaemonOptions options = {});
  void start_rules(Mode mode, const std::vector<std::string>& more_arguments = {});
  Daemon& daemon() { return *daemon_; }
  bool has_daemon() const { return daemon_ != nullptr; }
  Rules& rules() { return *rules_; }
  // For tests that end the daemon themselves.
  void forget_daemon() { daemon_.reset(); }

  // What must hold after any clean end: no process, shared memory or pid file.
  void expect_nothing_left();

private:
  std::unique_ptr<Topology> topology_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Rules> rules_;
};

// A case that is run in several arrangements.
class ConnectionTest : public NetworkTest, public testing::WithParamInterface<Arrangement>
{
protected:
  void SetUp() override;

  bool proxied() const { return GetParam().mode != Mode::direct; }
  Family family() const { return GetParam().family; }
  Endpoint server_at(std::uint16_t port) const { return Topology::server_address(family(), port); }

  // What a server must see as the client's address.
  std::string expected_source() const;

  // Says whether this many connections or more went through the proxy, by the daemon's own counters and by
  // the box's kernel, which counts accepted and dialled connections. In direct arrangements: none.
  void expect_proxied(long connections_at_least);
  // Waits until as many closing lines are logged; in direct arrangements does nothing.
  void expect_closing_lines(std::size_t at_least);

  virtual DaemonOptions daemon_options() const { return {}; }
};

} // namespace pepsal::test
