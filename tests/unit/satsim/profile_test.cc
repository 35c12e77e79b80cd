#include "satsim/profile.hh"

#include <gtest/gtest.h>

#include "satsim/numbers.hh"

namespace pepsal::satsim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using What = Change::What;

TEST(Schedule, EmptyIsEmpty)
{
  for (const auto* text : {"", " ", ", ,"}) {
    EXPECT_TRUE(parse_schedule(text).down.empty());
    EXPECT_TRUE(parse_schedule(text).up.empty());
  }
}

TEST(Schedule, SortsByTimeAndDirection)
{
  const auto schedules = parse_schedule("20:down:loss=50, 5:down:rate=10 0.5:up:rate=0.25");
  EXPECT_EQ(schedules.down,
            (std::vector<Change>{{seconds{5}, What::rate, 10e6}, {seconds{20}, What::random_loss, 0.5}}));
  EXPECT_EQ(schedules.up, (std::vector<Change>{{milliseconds{500}, What::rate, 250e3}}));
}

TEST(Schedule, WindowsBeginAndEnd)
{
  const auto schedules = parse_schedule("5:both:outage=20 10:up:stall=1.5");
  EXPECT_EQ(schedules.down,
            (std::vector<Change>{{seconds{5}, What::outage_begin, 0}, {seconds{25}, What::outage_end, 0}}));
  EXPECT_EQ(schedules.up, (std::vector<Change>{{seconds{5}, What::outage_begin, 0},
                                               {seconds{10}, What::stall_begin, 0},
                                               {milliseconds{11'500}, What::stall_end, 0},
                                               {seconds{25}, What::outage_end, 0}}));
}

TEST(Schedule, BadWordsAreNamed)
{
  for (const std::string word :
       {"5", "5:down", "5:down:rate", "5:down:rate=1=2", "5:left:rate=1", "x:down:rate=1", "-1:down:rate=1",
        "5:down:rate=0", "5:down:rate=fast", "5:down:loss=101", "5:down:outage=0", "5:down:outage=", "5:down:speed=1",
        "5:down:rate=1:", "1e3:down:rate=1", "nan:down:rate=1", "inf:down:rate=1", "5:down:rate=0x10"}) {
    try {
      parse_schedule("1:down:rate=1 " + word);
      FAIL() << word << " was taken";
    } catch (const UsageError& error) {
      EXPECT_NE(std::string{error.what()}.find(word), std::string::npos) << error.what();
      EXPECT_EQ(std::string{error.what()}.find('\n'), std::string::npos);
    }
  }
}

TEST(Burst, TakesTwoToFourNumbers)
{
  EXPECT_EQ(parse_burst("b", "1,25"), (BurstLoss{0.01, 0.25, 1, 0}));
  EXPECT_EQ(parse_burst("b", "1,25,50"), (BurstLoss{0.01, 0.25, 0.5, 0}));
  EXPECT_EQ(parse_burst("b", "0.5,100,50,1"), (BurstLoss{0.005, 1, 0.5, 0.01}));
}

TEST(Burst, RejectsTheRest)
{
  for (const auto* text : {"", "1", "1,2,3,4,5", "1,", ",", "a,b", "1,101", "-1,5", "1;5", "1 ,5"}) {
    EXPECT_THROW(parse_burst("b", text), UsageError) << text;
  }
}

} // namespace
} // namespace pepsal::satsim
