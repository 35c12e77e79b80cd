#include "link/link.hh"

#include <stdexcept>

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

std::vector<Link> links_of(const std::vector<std::string>& texts)
{
  std::vector<Link> links;
  for (const auto& text : texts) {
    add_link(links, text);
  }
  require_complete(links);
  return links;
}

std::string complaint_about(const std::vector<std::string>& texts)
{
  try {
    links_of(texts);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(Link, IsReadInAnyOrderOfItsAttributes)
{
  const auto links = links_of({"  sat0\tside=terminal rtt=580   rate=50.5/0.1 "});
  ASSERT_EQ(links.size(), 1U);
  EXPECT_EQ(links[0].interface, "sat0");
  EXPECT_DOUBLE_EQ(links[0].down_mbit, 50.5);
  EXPECT_DOUBLE_EQ(links[0].up_mbit, 0.1);
  EXPECT_EQ(links[0].round_trip, 580ms);
  EXPECT_EQ(links[0].side, Link::Side::terminal);
  EXPECT_EQ(to_string(links[0]), "sat0 rate=50.5/0.1 rtt=580 side=terminal");
}

TEST(Link, LossIsOfItsPacketsInPercent)
{
  EXPECT_DOUBLE_EQ(links_of({"sat0 rate=50/10 rtt=600 side=gateway"})[0].loss_percent, 0);
  const auto links = links_of({"sat0 loss=0.5 rate=50/10 rtt=600 side=gateway", "sat0 rate=40/10"});
  EXPECT_DOUBLE_EQ(links[0].loss_percent, 0.5);
  EXPECT_EQ(to_string(links[0]), "sat0 rate=40/10 rtt=600 side=gateway loss=0.5");
}

TEST(Link, SideTellsWhatTheBoxSends)
{
  const auto links = links_of({"sat0 rate=50/10 rtt=600 side=gateway", "sat1 rate=50/10 rtt=600 side=terminal"});
  EXPECT_DOUBLE_EQ(links[0].send_mbit(), 50);
  EXPECT_DOUBLE_EQ(links[0].receive_mbit(), 10);
  EXPECT_DOUBLE_EQ(links[1].send_mbit(), 10);
  EXPECT_DOUBLE_EQ(links[1].receive_mbit(), 50);
}

TEST(Link, InterfaceAloneIsALinkWithoutRates)
{
  const auto links = links_of({"sat0"});
  EXPECT_FALSE(links[0].has_rates());
  EXPECT_EQ(to_string(links[0]), "sat0");
}

TEST(Link, SecondDescriptionReplacesWhatItNames)
{
  const auto links = links_of({"sat0 rate=50/10 rtt=600 side=gateway", "sat1", "sat0 rate=30/10"});
  ASSERT_EQ(links.size(), 2U);
  EXPECT_EQ(to_string(links[0]), "sat0 rate=30/10 rtt=600 side=gateway");
  EXPECT_EQ(find_link(links, "sat1"), &links[1]);
  EXPECT_EQ(find_link(links, "sat2"), nullptr);
  EXPECT_EQ(find_link(links, ""), nullptr);
}

struct WrongLink
{
  std::string text;
  std::string told;
};

// In the name of the test.
void PrintTo(const WrongLink& link, std::ostream* stream)
{
  *stream << testing::PrintToString(link.text);
}

class WrongLinkTest : public testing::TestWithParam<WrongLink>
{};

TEST_P(WrongLinkTest, IsToldInOneLine)
{
  const auto complaint = complaint_about({GetParam().text});
  EXPECT_NE(complaint.find(GetParam().told), std::string::npos) << "'" << complaint << "'";
  EXPECT_EQ(complaint.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Link, WrongLinkTest,
    testing::Values(
        WrongLink{"", "no interface"}, WrongLink{"rate=50/10 rtt=600", "'rate=50/10'"}, WrongLink{"lo", "'lo'"},
        WrongLink{"sat0/1", "'sat0/1'"}, WrongLink{"-sat0", "'-sat0'"}, WrongLink{"interface0123456", "15 characters"},
        WrongLink{"sat0 fast", "'fast' is not one of"}, WrongLink{"sat0 speed=5", "'speed=5' is not one of"},
        WrongLink{"sat0 rate=50", "'rate=50'"}, WrongLink{"sat0 rate=50/", "'rate=50/'"},
        WrongLink{"sat0 rate=/50", "'rate=/50'"}, WrongLink{"sat0 rate=5/5/5", "'rate=5/5/5'"},
        WrongLink{"sat0 rate=5e3/5", "'rate=5e3/5'"}, WrongLink{"sat0 rate=nan/5", "'rate=nan/5'"},
        WrongLink{"sat0 rate=-5/5", "'rate=-5/5'"},
        WrongLink{"sat0 rate=100000/1", "100000 is not from 0.01 to 10000 Mbit/s"},
        WrongLink{"sat0 rate=1/0.001", "0.001 is not from 0.01 to 10000 Mbit/s"}, WrongLink{"sat0 rtt=0", "'rtt=0'"},
        WrongLink{"sat0 rtt=10001", "10000"}, WrongLink{"sat0 rtt=6s", "'rtt=6s'"},
        WrongLink{"sat0 side=middle", "'side=middle'"}, WrongLink{"sat0 rtt=5 rtt=6", "'rtt=6' contradicts"},
        WrongLink{"sat0 rate=5/5 rtt=5", "lacks side=gateway|terminal"},
        WrongLink{"sat0 rate=5/5 side=gateway", "lacks rtt=MS"}, WrongLink{"sat0 loss=1", "lacks rate=DOWN/UP"},
        WrongLink{"sat0 loss=51", "'loss=51' is not loss=PERCENT with a number from 0 to 50"},
        WrongLink{"sat0 loss=-1", "'loss=-1' is not loss=PERCENT"},
        WrongLink{"sat0 loss=1%", "'loss=1%' is not loss=PERCENT"},
        WrongLink{"sat0 loss=", "'loss=' is not loss=PERCENT"}, WrongLink{"sat0 side=gateway", "lacks rate=DOWN/UP"}));

TEST(Link, WrongSecondDescriptionChangesNothing)
{
  std::vector<Link> links;
  add_link(links, "sat0 rate=50/10 rtt=600 side=gateway");
  const auto before = links;
  EXPECT_THROW(add_link(links, "sat0 rate=30/10 rtt=0"), std::invalid_argument);
  EXPECT_EQ(links, before);
}

} // namespace
} // namespace pepsal::test
