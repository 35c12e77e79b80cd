#include "proxy/copy.hh"

#include <thread>

#include <gtest/gtest.h>

#include "loopback.hh"

namespace pepsal::test {
namespace {

constexpr std::size_t bulk_bytes = 4'000'000; // many pipes full

// One way of a proxied connection, copied by the thread that calls run().
struct Way
{
  SplicePipe pipe;
  std::atomic<std::uint64_t> written{};
  std::atomic<bool> fin_sent{};
};

class CopyTest : public testing::Test
{
protected:
  CopyEnd copy_up(std::string_view held = {})
  {
    return copy_stream(client_.proxy, server_.proxy, std::as_bytes(std::span{held}), up_.pipe, up_.written,
                       down_.fin_sent, up_.fin_sent);
  }
  CopyEnd copy_down()
  {
    return copy_stream(server_.proxy, client_.proxy, {}, down_.pipe, down_.written, up_.fin_sent, down_.fin_sent);
  }

  Leg client_ = make_leg();
  Leg server_ = make_leg();
  Way up_;
  Way down_;
};

TEST_F(CopyTest, BulkBothWaysAtOnce)
{
  const auto question = pattern(bulk_bytes, 1);
  const auto answer = pattern(bulk_bytes, 2);
  const std::jthread up{[&] { EXPECT_EQ(copy_up().kind, CopyEnd::Kind::finished); }};
  const std::jthread down{[&] { EXPECT_EQ(copy_down().kind, CopyEnd::Kind::finished); }};
  const std::jthread asking{[&] { send_all(client_.peer, question), end_sending(client_.peer); }};
  const std::jthread answering{[&] { send_all(server_.peer, answer), end_sending(server_.peer); }};
  const std::jthread reading{[&] { EXPECT_TRUE(receive_all(client_.peer) == answer); }};
  EXPECT_TRUE(receive_all(server_.peer) == question);
}

TEST_F(CopyTest, BulkGoesByThePipe)
{
  std::jthread up{[&] { copy_up(); }};
  const std::jthread asking{[&] { send_all(client_.peer, pattern(bulk_bytes, 1)), end_sending(client_.peer); }};
  EXPECT_EQ(receive_all(server_.peer).size(), bulk_bytes);
  up.join();
  EXPECT_NE(up_.pipe.read_end(), -1);
}

TEST_F(CopyTest, SingleBytes)
{
  const auto text = pattern(2000, 3);
  const std::jthread up{[&] { copy_up(); }};
  const std::jthread asking{[&] {
    for (const char byte : text) {
      send_all(client_.peer, {&byte, 1});
    }
    end_sending(client_.peer);
  }};
  EXPECT_EQ(receive_all(server_.peer), text);
}

TEST_F(CopyTest, EachMessageLeavesAtOnce)
{
  const std::jthread up{[&] { copy_up(); }};
  for (const std::string message : {"one", "another", "the last"}) {
    send_all(client_.peer, message);
    EXPECT_EQ(receive(server_.peer, message.size()), message);
  }
  end_sending(client_.peer);
}

TEST_F(CopyTest, OneWayEndsAndTheOtherGoesOn)
{
  const std::jthread up{[&] { EXPECT_EQ(copy_up().kind, CopyEnd::Kind::finished); }};
  const std::jthread down{[&] { EXPECT_EQ(copy_down().kind, CopyEnd::Kind::finished); }};
  send_all(client_.peer, "question");
  end_sending(client_.peer);
  EXPECT_EQ(receive_all(server_.peer), "question"); // with its end
  EXPECT_TRUE(up_.fin_sent);
  EXPECT_FALSE(down_.fin_sent);
  send_all(server_.peer, "answer");
  end_sending(server_.peer);
  EXPECT_EQ(receive_all(client_.peer), "answer");
}

TEST_F(CopyTest, UrgentByteStaysInItsPlace)
{
  const std::jthread up{[&] { copy_up(); }};
  send_all(client_.peer, "before");
  EXPECT_EQ(::send(client_.peer.number(), "!", 1, MSG_OOB), 1);
  send_all(client_.peer, "after");
  end_sending(client_.peer);
  EXPECT_EQ(receive_all(server_.peer), "before!after");
}

// splice(2) stops in front of an urgent byte and returns 0, as at the end.
TEST_F(CopyTest, UrgentByteInBulk)
{
  const auto half = pattern(bulk_bytes / 2, 4);
  const std::jthread up{[&] { copy_up(); }};
  const std::jthread asking{[&] {
    send_all(client_.peer, half);
    EXPECT_EQ(::send(client_.peer.number(), "!", 1, MSG_OOB), 1);
    send_all(client_.peer, half);
    end_sending(client_.peer);
  }};
  EXPECT_TRUE(receive_all(server_.peer) == half + "!" + half);
}

TEST_F(CopyTest, SlowReaderGetsAll)
{
  client_ = make_leg(8192);
  server_ = make_leg(8192);
  const auto text = pattern(300'000, 5);
  const std::jthread up{[&] { copy_up(); }};
  const std::jthread asking{[&] { send_all(client_.peer, text), end_sending(client_.peer); }};
  EXPECT_TRUE(receive_all(server_.peer, 100) == text);
}

TEST_F(CopyTest, WhatIsHeldComesFirst)
{
  send_all(client_.peer, "second");
  end_sending(client_.peer);
  EXPECT_EQ(copy_up("first ").kind, CopyEnd::Kind::finished);
  EXPECT_EQ(receive_all(server_.peer), "first second");
  EXPECT_EQ(up_.written, 12);
}

TEST_F(CopyTest, ResetOfTheSourceIsNoCleanEnd)
{
  send_all(client_.peer, "tail");
  EXPECT_EQ(receive(client_.proxy, 4), "tail");
  reset(client_.peer);
  const auto end = copy_up();
  EXPECT_EQ(end.kind, CopyEnd::Kind::source_failed);
  EXPECT_EQ(end.error, ECONNRESET);
  EXPECT_FALSE(up_.fin_sent);
}

// Whoever sees a socket's error first takes it away; afterwards the socket reads as if it had ended well.
TEST_F(CopyTest, ResetThatAnotherThreadSawFirst)
{
  reset(client_.peer);
  EXPECT_EQ(client_.proxy.take_error(), ECONNRESET);
  const auto end = copy_up();
  EXPECT_EQ(end.kind, CopyEnd::Kind::source_failed);
  EXPECT_EQ(end.error, ECONNRESET);
}

TEST_F(CopyTest, ResetOfTheSink)
{
  reset(server_.peer);
  send_all(client_.peer, "for nobody");
  end_sending(client_.peer);
  EXPECT_EQ(copy_up().kind, CopyEnd::Kind::sink_failed);
  EXPECT_EQ(up_.written, 0);
}

} // namespace
} // namespace pepsal::test
