// What another program sees: this file is compiled with include/ alone.

#include "pepsal/table.hh"

#include <vector>

#include <gtest/gtest.h>

using namespace pepsal;

namespace {

// Memory as a daemon lays it out, aligned like a mapping.
class Memory
{
public:
  explicit Memory(std::uint32_t buckets, std::uint32_t processes)
      : layout_{Layout::of(buckets, processes)}
      , pages_(layout_.end / sizeof(Page) + 1)
  {
    header().version = layout_version;
    header().buckets = buckets;
    header().roster_capacity = processes;
    header().magic = layout_magic;
  }

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span{pages_}); }
  Header& header() { return *reinterpret_cast<Header*>(pages_.data()); }
  Activity& activity() { return *reinterpret_cast<Activity*>(bytes().subspan(layout_.activity).data()); }
  Slot& slot(std::size_t index)
  {
    return *reinterpret_cast<Slot*>(bytes().subspan(layout_.slots + index * sizeof(Slot)).data());
  }

private:
  struct alignas(4096) Page
  {
    std::array<std::byte, 4096> bytes;
  };
  Layout layout_;
  std::vector<Page> pages_;
};

bool is_metric_name(std::string_view name)
{
  return name.starts_with("pepsal_") && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

} // namespace

TEST(TableViewTest, RefusesWhatIsNoWholeTable)
{
  Memory memory{2, 8};
  const auto size = Layout::of(2, 8).end;
  ASSERT_TRUE(TableView::of(memory.bytes().first(size)));
  EXPECT_FALSE(TableView::of(memory.bytes().first(size - 1)));
  EXPECT_FALSE(TableView::of(memory.bytes().first(sizeof(Header) - 1)));
  EXPECT_FALSE(TableView::of({}));
  for (const std::uint32_t buckets : {0U, 3U, 1U << 31, ~0U}) {
    memory.header().buckets = buckets;
    EXPECT_FALSE(TableView::of(memory.bytes())) << buckets;
  }
  memory.header().buckets = 2;
  memory.header().roster_capacity = ~0U;
  EXPECT_FALSE(TableView::of(memory.bytes()));
  memory.header().roster_capacity = 8;
  memory.header().version = layout_version + 1;
  EXPECT_FALSE(TableView::of(memory.bytes()));
  memory.header().version = layout_version;
  memory.header().magic = 0;
  EXPECT_FALSE(TableView::of(memory.bytes()));
}

// The kernel protects whole pages, so parts written by different processes share none.
TEST(TableViewTest, PartsOfDifferentWritersShareNoPage)
{
  for (const std::uint32_t processes : {1U, 8U, 1000U}) {
    const auto layout = Layout::of(2, processes);
    for (const auto begin : {layout.roster, layout.peers, layout.activity, layout.buckets, layout.states}) {
      EXPECT_EQ(begin % Layout::page, 0U);
    }
    EXPECT_LE(sizeof(Header), layout.roster);
    EXPECT_LE(layout.roster + sizeof(RosterEntry) * processes, layout.peers);
    EXPECT_LE(layout.peers + sizeof(PeerStatus) * PeerStatus::most_peers, layout.activity);
    EXPECT_LE(layout.activity + sizeof(Activity), layout.buckets);
    EXPECT_LE(layout.slots + sizeof(Slot) * 2 * Bucket::slots, layout.states);
  }
}

TEST(TableViewTest, AnOwnerOutOfRangeIsNoProcess)
{
  Memory memory{1, 8};
  const auto view = TableView::of(memory.bytes());
  ASSERT_TRUE(view);
  const auto hostile = Control{}.next(SlotState::open, Control::owner_limit - 1);
  memory.slot(3).control = hostile.word;
  std::vector<std::int32_t> processes;
  view->for_each([&](const TableEntry& entry) { processes.push_back(view->process(entry.owner)); });
  EXPECT_EQ(processes, std::vector<std::int32_t>{0});
}

TEST(TableViewTest, SizesThatChangeAfterwardsAreNotBelieved)
{
  Memory memory{1, 8};
  const auto view = TableView::of(memory.bytes());
  ASSERT_TRUE(view);
  memory.header().buckets = 1U << 20;
  memory.header().roster_capacity = 1U << 20;
  EXPECT_EQ(view->value(Gauge::slots), Bucket::slots);
  EXPECT_EQ(view->process(1U << 19), 0);
  memory.activity().entries_added = ~0ULL >> 1;
  EXPECT_EQ(view->entries(), Bucket::slots);
}

TEST(CountersTest, RowsFollowPrometheusConventions)
{
  for (std::size_t i = 0; i < counter_rows.size(); ++i) {
    const auto& row = counter_rows.at(i);
    EXPECT_EQ(static_cast<std::size_t>(row.id), i);
    EXPECT_TRUE(is_metric_name(row.metric) && row.metric.ends_with("_total")) << row.metric;
    EXPECT_FALSE(row.help.empty() || row.metric_help().empty()) << row.name;
  }
  for (const auto& row : gauge_rows) {
    EXPECT_TRUE(is_metric_name(row.metric) && !row.metric.ends_with("_total")) << row.metric;
    EXPECT_FALSE(row.help.empty()) << row.name;
  }
}

TEST(CountersTest, RowsOfOneMetricStandTogetherAndAgree)
{
  for (std::size_t i = 1; i < counter_rows.size(); ++i) {
    const auto& row = counter_rows.at(i);
    for (std::size_t j = 0; j < i; ++j) {
      const auto& earlier = counter_rows.at(j);
      if (earlier.metric == row.metric) {
        EXPECT_EQ(counter_rows.at(i - 1).metric, row.metric) << row.name;
        EXPECT_EQ(earlier.metric_help(), row.metric_help()) << row.name;
        EXPECT_NE(earlier.labels, row.labels) << row.name;
      }
    }
  }
}
