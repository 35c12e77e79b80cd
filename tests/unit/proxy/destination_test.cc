#include "proxy/destination.hh"

#include <gtest/gtest.h>

#include "../shared/owners.hh"
#include "loopback.hh"

namespace pepsal::test {
namespace {

// Sockets from this machine to itself, which no proxy may serve unless told that they lead elsewhere.
class FindDestination : public testing::Test
{
protected:
  std::optional<Destination> find(const TCPSocket& socket)
  {
    return find_destination(
        table_, socket, client_,
        [this](const Endpoint& server) {
          asked_ = server;
          return true;
        },
        proxy, boot_time_now());
  }

  SharedSegment segment_{SharedSegment::anonymous({.max_connections = 64, .processes = 8})};
  ConnectionTable table_{segment_};
  Endpoint client_{*Endpoint::parse("192.0.2.1", 40000)};
  std::optional<Endpoint> asked_;
};

TEST_F(FindDestination, NoneOnThisMachine)
{
  const auto ends = make_ends(0);
  EXPECT_FALSE(find(ends.proxy));
  EXPECT_FALSE(asked_) << "loopback is forbidden, whosever it is";
  EXPECT_EQ(table_.size(), 0);
}

TEST_F(FindDestination, AnothersEntryIsNotTaken)
{
  const Connection elsewhere{.client = client_, .server = *Endpoint::parse("198.51.100.1", 80), .syn = {}};
  table_.insert_pending(elsewhere, queuer, boot_time_now());
  const auto ends = make_ends(0);
  EXPECT_FALSE(find(ends.proxy));
  EXPECT_TRUE(table_.claim(client_, elsewhere.server, proxy, boot_time_now())) << "it is still there";
}

TEST_F(FindDestination, AForbiddenOneGivesItsEntryBack)
{
  const auto ends = make_ends(0);
  const Connection here{.client = client_, .server = ends.proxy.local_endpoint(), .syn = {}};
  table_.insert_pending(here, queuer, boot_time_now());
  EXPECT_FALSE(find(ends.proxy));
  EXPECT_EQ(table_.size(), 0);
}

} // namespace
} // namespace pepsal::test
