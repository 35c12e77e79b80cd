#include "pepsalctl/text.hh"

#include <gtest/gtest.h>

namespace pepsal {

namespace {

using namespace std::chrono_literals;

TEST(Text, BytesFitFiveCharacters)
{
  EXPECT_EQ(short_bytes(0), "0");
  EXPECT_EQ(short_bytes(999), "999");
  EXPECT_EQ(short_bytes(1000), "1.0k");
  EXPECT_EQ(short_bytes(12'340), "12.3k");
  EXPECT_EQ(short_bytes(99'960), "100k");
  EXPECT_EQ(short_bytes(999'499), "999k");
  EXPECT_EQ(short_bytes(999'500), "1.0M");
  EXPECT_EQ(short_bytes(120'000'000'000), "120G");
  EXPECT_EQ(short_bytes(UINT64_MAX), "18.4E");
}

TEST(Text, TimesFitFiveCharacters)
{
  EXPECT_EQ(short_time(-1s), "0.0s");
  EXPECT_EQ(short_time(1234ms), "1.2s");
  EXPECT_EQ(short_time(9960ms), "10s");
  EXPECT_EQ(short_time(119s), "119s");
  EXPECT_EQ(short_time(120s), "2m");
  EXPECT_EQ(short_time(2h), "2h");
  EXPECT_EQ(short_time(24h * 10), "10d");
}

TEST(Text, ColumnsAreAsWideAsTheirWidestCell)
{
  Columns columns;
  columns.add_column("NAME", Columns::Side::left);
  columns.add_column("N", Columns::Side::right);
  columns.add_row({"a", "1"});
  columns.add_row({"longer", "123"});
  EXPECT_EQ(columns.lines(), (std::vector<std::string>{"NAME     N", "a        1", "longer 123"}));
}

} // namespace

} // namespace pepsal
