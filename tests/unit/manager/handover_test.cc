#include "manager/handover.hh"

#include <stdexcept>

#include <gtest/gtest.h>

#include "manager/restart.hh"
#include "shared/shared_segment.hh"

namespace pepsal::test {
namespace {

Handover example()
{
  return {.version = "3.1.0",
          .instance = "two",
          .pidfile = "/run/pepsal/two.pid",
          .address = "192.0.2.1",
          .port = 5001,
          .peer_port = 5002,
          .layout = 6,
          .room = 100,
          .table = 4,
          .table_to_read = 10,
          .pid_folder = 5,
          .pid_file = 6,
          .control = 7,
          .asker = -1,
          .queues = 9,
          .peer_key = "00ff",
          .rates = {{"sat0", "30/10"}},
          .listeners = {{.descriptor = 8, .interface = "sat0", .for_peers = true}},
          .children = {{.role = "proxy", .pid = 1000, .owner = 3, .index = 1, .started_ns = 5, .busy = true},
                       {.role = "queuer", .pid = 1001, .owner = 1, .index = 0, .started_ns = 4, .busy = false}}};
}

TEST(HandoverTest, IsReadAsItWasWritten)
{
  const auto read = Handover::from_text(example().to_text());
  EXPECT_EQ(read.to_text(), example().to_text());
  EXPECT_EQ(read.instance, "two");
  EXPECT_EQ(read.queues, 9);
  EXPECT_EQ(read.table_to_read, 10);
  ASSERT_EQ(read.children.size(), 2U);
  EXPECT_EQ(read.children[0].pid, 1000);
  EXPECT_TRUE(read.children[0].busy);
  ASSERT_EQ(read.listeners.size(), 1U);
  EXPECT_EQ(read.listeners[0].interface, "sat0");
}

// Signalling process 0 would signal the whole process group.
TEST(HandoverTest, ChildWithoutAPidIsRefused)
{
  auto handover = example();
  handover.children[1].pid = 0;
  EXPECT_THROW(Handover::from_text(handover.to_text()), std::runtime_error);
}

TEST(HandoverTest, OfALaterVersionMayKnowMore)
{
  auto text = example().to_text();
  text.insert(1, R"("moon":"full",)");
  EXPECT_EQ(Handover::from_text(text).to_text(), example().to_text());
}

TEST(HandoverTest, OfAnEarlierVersionMayLackTheTableOfQueues)
{
  auto text = example().to_text();
  const std::string queues = R"("queues":9,)";
  ASSERT_NE(text.find(queues), std::string::npos);
  text.erase(text.find(queues), queues.size());
  EXPECT_EQ(Handover::from_text(text).queues, -1);
}

TEST(HandoverTest, NonsenseIsRefused)
{
  EXPECT_THROW(Handover::from_text(""), std::runtime_error);
  EXPECT_THROW(Handover::from_text("{"), std::runtime_error);
  EXPECT_THROW(Handover::from_text(R"({"version":3})"), std::runtime_error);
}

class AdoptionTest : public testing::Test
{
protected:
  SharedSegment segment_{SharedSegment::anonymous({.max_connections = 64, .processes = 16})};
  Children children_{segment_};
};

TEST_F(AdoptionTest, NumbersOfTheSameTableStay)
{
  segment_.process_states()[3] = static_cast<std::uint8_t>(ProcessState::busy);
  adopt_children(children_, example(), true);
  EXPECT_TRUE(children_.is_alive(3));
  EXPECT_EQ(children_.state(3), ProcessState::busy);
  EXPECT_EQ(children_.count(Children::Role::proxy), 1U);
  EXPECT_EQ(children_.count(Children::Role::queuer), 1U);
  EXPECT_FALSE(children_.is_alive(2));
  EXPECT_TRUE(children_.has_dead()) << "number 2 may have slots in the table";
}

TEST_F(AdoptionTest, NumbersOfAnotherTableAreGivenAnew)
{
  adopt_children(children_, example(), false);
  EXPECT_TRUE(children_.is_alive(1));
  EXPECT_TRUE(children_.is_alive(2));
  EXPECT_EQ(children_.state(1), ProcessState::busy);
  EXPECT_EQ(children_.state(2), ProcessState::queuer);
  EXPECT_FALSE(children_.has_dead());
}

TEST_F(AdoptionTest, NumbersBeyondTheTableAreRefused)
{
  auto handover = example();
  handover.children[0].owner = 16;
  EXPECT_THROW(adopt_children(children_, handover, true), std::runtime_error);
  handover.children[0].owner = no_owner;
  EXPECT_THROW(adopt_children(children_, handover, true), std::runtime_error);
}

} // namespace
} // namespace pepsal::test
