#include "dial/attempt.hh"

#include <set>

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

Connection from_port(std::uint16_t port)
{
  return {.client = *Endpoint::parse("192.0.2.1", port), .server = *Endpoint::parse("198.51.100.1", 80), .syn = {}};
}

// The sources that are tried if none is available.
std::vector<DialSource> all_sources(const Connection& connection)
{
  std::vector<DialSource> result;
  for (auto source = std::optional{source_of(connection)}; source; source = next_source(connection, *source)) {
    result.push_back(*source);
  }
  return result;
}

TEST(DialSource, IsTheClientsThenItsAddressThenTheBoxs)
{
  const auto sources = all_sources(from_port(40000));
  ASSERT_EQ(sources.size(), 3U);
  EXPECT_EQ(sources[0].binding, SourceBinding::client_address_and_port);
  EXPECT_EQ(sources[0].port, 40000);
  EXPECT_EQ(sources[1].binding, SourceBinding::client_address);
  EXPECT_EQ(sources[1].port, 0);
  EXPECT_EQ(sources[2].binding, SourceBinding::own);
}

TEST(DialSource, StaysBelow1024ForAClientThatIs)
{
  for (const auto port : {std::uint16_t{1}, std::uint16_t{599}, std::uint16_t{600}, std::uint16_t{1023}}) {
    auto sources = all_sources(from_port(port));
    ASSERT_GT(sources.size(), 10U);
    EXPECT_EQ(sources[sources.size() - 1].binding, SourceBinding::own);
    EXPECT_EQ(sources[sources.size() - 2].binding, SourceBinding::client_address);
    sources.resize(sources.size() - 2);
    std::set<std::uint16_t> ports;
    for (const auto& source : sources) {
      EXPECT_TRUE(source.port == port || (source.port >= 600 && source.port < 1024)) << source.port;
      ports.insert(source.port);
    }
    EXPECT_EQ(ports.size(), sources.size()) << "one is tried twice";
  }
}

} // namespace
} // namespace pepsal::test
