#include "proxy/inspection.hh"

#include <gtest/gtest.h>

#include "loopback.hh"

namespace pepsal::test {
namespace {

using Finding = Inspection::Finding;
using namespace std::chrono_literals;

class InspectionTest : public testing::Test
{
protected:
  InspectionTest()
  {
    for (auto* leg : {&client_, &server_}) {
      leg->user_timeout = 400s;
    }
    inspection_.begin(now_);
  }

  // Looks when it is due and returns how long that was after the previous look.
  std::chrono::milliseconds look(Finding expected, std::uint64_t bytes)
  {
    const auto pause = std::chrono::duration_cast<std::chrono::milliseconds>(inspection_.due() - now_);
    now_ = inspection_.due();
    EXPECT_EQ(inspection_.look(client_, server_, bytes, now_), expected);
    return pause;
  }

  LoopbackEnds client_ends_ = make_ends();
  LoopbackEnds server_ends_ = make_ends();
  LegProfile profile_;
  Leg client_{std::move(client_ends_.proxy), profile_};
  Leg server_{std::move(server_ends_.proxy), profile_};
  Inspection::Time now_ = std::chrono::steady_clock::now();
  Inspection inspection_;
};

TEST_F(InspectionTest, LooksLessOftenTheLongerNothingMoves)
{
  EXPECT_EQ(look(Finding::moving, 10), 2s);
  EXPECT_EQ(look(Finding::quiet, 10), 2s);
  for (const auto pause : {4s, 8s, 16s, 32s, 60s, 60s}) {
    EXPECT_EQ(look(Finding::quiet, 10), pause);
  }
  EXPECT_EQ(look(Finding::moving, 11), 60s);
  EXPECT_EQ(look(Finding::moving, 12), 2s) << "often again";
}

TEST_F(InspectionTest, LooksFourTimesInAUserTimeout)
{
  server_.user_timeout = 20s;
  look(Finding::quiet, 0);
  look(Finding::quiet, 0);
  EXPECT_EQ(look(Finding::quiet, 0), 5s);
}

TEST_F(InspectionTest, SilentLegIsNotAsked)
{
  client_.is_silent = true;
  server_.is_silent = true;
  EXPECT_EQ(look(Finding::quiet, 0), 2s);
}

} // namespace
} // namespace pepsal::test
