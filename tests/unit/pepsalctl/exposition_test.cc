#include "pepsalctl/exposition.hh"

#include <array>

#include <gtest/gtest.h>

#include "pepsalctl/metrics.hh"

namespace pepsal {

namespace {

TEST(Exposition, WritesSamplesBehindHelpAndType)
{
  Exposition out;
  out.begin("pepsal_things", "gauge", "what there is");
  out.sample({}, 3);
  out.sample(label("kind", "a"), UINT64_MAX);
  EXPECT_EQ(out.text(), "# HELP pepsal_things what there is\n# TYPE pepsal_things gauge\n"
                        "pepsal_things 3\npepsal_things{kind=\"a\"} 18446744073709551615\n");
}

TEST(Exposition, NoLabelEndsItsLine)
{
  EXPECT_EQ(label("interface", "a\"b\\c\nd"), R"(interface="a\"b\\c\nd")");
}

TEST(Exposition, BucketsOfAHistogramAreCumulative)
{
  Exposition out;
  out.begin("pepsal_rtt_seconds", "histogram", "round trips");
  out.histogram(label("leg", "client"), std::array{0.5, 0.002, 7.0}, std::array{0.002, 1.0});
  EXPECT_NE(out.text().find("_bucket{leg=\"client\",le=\"0.002\"} 1\n"
                            "pepsal_rtt_seconds_bucket{leg=\"client\",le=\"1\"} 2\n"
                            "pepsal_rtt_seconds_bucket{leg=\"client\",le=\"+Inf\"} 3\n"
                            "pepsal_rtt_seconds_sum{leg=\"client\"} 7.502\n"
                            "pepsal_rtt_seconds_count{leg=\"client\"} 3\n"),
            std::string::npos)
      << out.text();
}

TEST(MetricMemory, CountersRiseUntilTheDaemonStartsAnew)
{
  MetricMemory memory;
  EXPECT_EQ(memory.rising(10, Counter::bytes_up, 100), 100);
  EXPECT_EQ(memory.rising(10, Counter::bytes_up, 90), 100);
  EXPECT_EQ(memory.rising(10, Counter::bytes_down, 90), 90);
  EXPECT_EQ(memory.rising(11, Counter::bytes_up, 5), 5);
}

} // namespace

} // namespace pepsal
