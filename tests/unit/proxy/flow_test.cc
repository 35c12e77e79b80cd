#include "proxy/flow.hh"

#include <array>
#include <optional>
#include <thread>

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "loopback.hh"

namespace pepsal::test {
namespace {

constexpr std::size_t bulk_bytes = 4'000'000; // many pipes full

class FlowTest : public testing::Test
{
protected:
  // Moves the flow from client to server to its end, as a proxy's loop does.
  Flow::State finish()
  {
    while (flow_.advance() == Flow::State::flowing) {
      pollfd awaited = flow_.awaited();
      was_bulk_ = was_bulk_ || flow_.is_bulk();
      ::poll(&awaited, 1, -1);
    }
    return flow_.state();
  }

  LoopbackEnds client_ = make_ends();
  LoopbackEnds server_ = make_ends();
  std::atomic<std::uint64_t> written_{};
  std::array<std::byte, Flow::buffer_bytes> buffer_;
  Flow flow_{client_.proxy, server_.proxy, written_, buffer_};
  bool was_bulk_{};
};

TEST_F(FlowTest, BulkGoesByThePipe)
{
  const auto text = pattern(bulk_bytes, 1);
  const std::jthread moving{[&] { EXPECT_EQ(finish(), Flow::State::ended); }};
  const std::jthread asking{[&] { send_all(client_.host, text), end_sending(client_.host); }};
  std::string received;
  while (received.size() < text.size()) {
    received += receive(server_.host, std::min<std::size_t>(100'000, text.size() - received.size()));
  }
  EXPECT_TRUE(received == text);
}

TEST_F(FlowTest, ManyBytesAtOnceAreBulkUntilItRests)
{
  const auto text = pattern(60'000, 1); // as much as a new connection takes at once
  send_all(client_.host, text);
  int unacknowledged = 1;
  while (unacknowledged > 0) {
    ASSERT_EQ(::ioctl(client_.host.number(), SIOCOUTQ, &unacknowledged), 0);
  }
  EXPECT_EQ(flow_.advance(), Flow::State::flowing);
  EXPECT_TRUE(flow_.is_bulk());
  EXPECT_TRUE(receive(server_.host, text.size()) == text);
  EXPECT_EQ(written_, text.size());
  flow_.rest();
  EXPECT_FALSE(flow_.is_bulk());
}

TEST_F(FlowTest, SingleBytes)
{
  const auto text = pattern(2000, 3);
  std::jthread moving{[&] { EXPECT_EQ(finish(), Flow::State::ended); }};
  const std::jthread asking{[&] {
    for (const char byte : text) {
      send_all(client_.host, {&byte, 1});
    }
    end_sending(client_.host);
  }};
  EXPECT_EQ(receive(server_.host, text.size()), text);
  moving.join();
  EXPECT_FALSE(was_bulk_);
}

TEST_F(FlowTest, EachMessageLeavesAtOnce)
{
  for (const std::string message : {"one", "another", "the last"}) {
    send_all(client_.host, message);
    EXPECT_EQ(flow_.advance(), Flow::State::flowing);
    EXPECT_EQ(receive(server_.host, message.size()), message);
    EXPECT_EQ(flow_.awaited().fd, client_.proxy.number());
  }
}

TEST_F(FlowTest, UrgentByteStaysInItsPlace)
{
  const std::jthread moving{[&] { finish(); }};
  send_all(client_.host, "before");
  EXPECT_EQ(::send(client_.host.number(), "!", 1, MSG_OOB), 1);
  send_all(client_.host, "after");
  end_sending(client_.host);
  EXPECT_EQ(receive(server_.host, 12), "before!after");
}

// splice(2) stops before an urgent byte and returns 0, as at the end.
TEST_F(FlowTest, UrgentByteInBulk)
{
  const auto half = pattern(bulk_bytes / 2, 4);
  const std::jthread moving{[&] { EXPECT_EQ(finish(), Flow::State::ended); }};
  const std::jthread asking{[&] {
    send_all(client_.host, half);
    EXPECT_EQ(::send(client_.host.number(), "!", 1, MSG_OOB), 1);
    send_all(client_.host, half);
    end_sending(client_.host);
  }};
  EXPECT_TRUE(receive(server_.host, 2 * half.size() + 1) == half + "!" + half);
}

TEST_F(FlowTest, FullSinkStopsTheReading)
{
  const std::jthread asking{[&] { send_all(client_.host, pattern(bulk_bytes * 4, 5)), end_sending(client_.host); }};
  pollfd awaited{};
  int ready = 1;
  do {
    ASSERT_EQ(flow_.advance(), Flow::State::flowing);
    awaited = flow_.awaited();
    const bool for_the_sink = awaited.fd == server_.proxy.number();
    ready = ::poll(&awaited, 1, for_the_sink ? 300 : 30'000); // a source may be slow
  } while (ready == 1);
  EXPECT_EQ(awaited.fd, server_.proxy.number());
  EXPECT_EQ(awaited.events, POLLOUT);
  EXPECT_FALSE(flow_.is_starved());
  const std::jthread reading{[&] { EXPECT_TRUE(receive(server_.host, bulk_bytes * 4) == pattern(bulk_bytes * 4, 5)); }};
  EXPECT_EQ(finish(), Flow::State::ended);
}

TEST_F(FlowTest, EmptySourceIsStarved)
{
  EXPECT_EQ(flow_.advance(), Flow::State::flowing);
  EXPECT_TRUE(flow_.is_starved());
}

TEST_F(FlowTest, ResetOfTheSourceComesAfterWhatWasSentBefore)
{
  send_all(client_.host, "tail");
  EXPECT_EQ(flow_.advance(), Flow::State::flowing);
  reset(client_.host);
  EXPECT_EQ(finish(), Flow::State::source_failed);
  EXPECT_EQ(flow_.error(), ECONNRESET);
  EXPECT_EQ(receive(server_.host, 4), "tail");
}

TEST_F(FlowTest, ResetOfTheSink)
{
  reset(server_.host);
  send_all(client_.host, "for nobody");
  end_sending(client_.host);
  EXPECT_EQ(finish(), Flow::State::sink_failed);
  EXPECT_EQ(written_, 0);
}

} // namespace
} // namespace pepsal::test
