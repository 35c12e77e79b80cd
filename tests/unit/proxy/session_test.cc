#include "proxy/session.hh"

#include <thread>

#include <gtest/gtest.h>

#include "loopback.hh"
#include "proxy/copy_thread.hh"

namespace pepsal::test {
namespace {

class SessionTest : public testing::Test
{
protected:
  SessionTest() { use_legs(0); }

  void use_legs(int buffer_bytes)
  {
    client_ = make_leg(buffer_bytes);
    server_ = make_leg(buffer_bytes);
    const Connection connection{
        .client = *Endpoint::parse("10.0.0.2", 40000), .server = *Endpoint::parse("10.0.1.2", 80), .syn = {}};
    auto claim = table_.insert_connecting(connection, owner, boot_time_now());
    session_.emplace(table_, std::move(client_.proxy), connection, claim, Session::End::connection);
    session_->open(std::move(server_.proxy), 0);
  }

  void expect_closed(std::uint64_t up, std::uint64_t down)
  {
    EXPECT_EQ(table_.counter(Counter::connections_closed), 1);
    EXPECT_EQ(table_.counter(Counter::bytes_up), up);
    EXPECT_EQ(table_.counter(Counter::bytes_down), down);
  }

  static constexpr Owner owner = 1;

  SharedSegment segment_ = SharedSegment::anonymous({.max_connections = 10, .processes = 8});
  ConnectionTable table_{segment_};
  Leg client_;
  Leg server_;
  std::optional<Session> session_;
  SplicePipe up_pipe_;
  SplicePipe down_pipe_;
};

TEST_F(SessionTest, RequestAndAnswerNeedOneThread)
{
  send_all(client_.peer, "request");
  send_all(server_.peer, "the answer");
  end_sending(server_.peer);
  const auto turn = session_->exchange(Session::Stage::opening);
  EXPECT_EQ(receive(server_.peer, 7), "request");
  EXPECT_EQ(turn.way, Session::Way::down);
  EXPECT_TRUE(turn.ended);
  session_->copy(Session::Way::down, down_pipe_);
  EXPECT_EQ(receive_all(client_.peer), "the answer");
  end_sending(client_.peer);
  session_->copy(Session::Way::up, up_pipe_);
  expect_closed(7, 10);
  EXPECT_EQ(table_.size(), 0) << "the slot is free again";
}

TEST_F(SessionTest, SilenceEndsTheOpening)
{
  EXPECT_FALSE(session_->exchange(Session::Stage::opening).ended);
}

TEST_F(SessionTest, BulkTakesTwoThreads)
{
  const auto text = pattern(1'000'000, 1);
  const std::jthread client{[&] { send_all(client_.peer, text), end_sending(client_.peer); }};
  const std::jthread server{[&] {
    EXPECT_TRUE(receive_all(server_.peer) == text);
    send_all(server_.peer, text);
    end_sending(server_.peer);
  }};
  const std::jthread reader{[&] { EXPECT_TRUE(receive_all(client_.peer) == text); }};
  const auto turn = session_->exchange(Session::Stage::opening);
  EXPECT_EQ(turn.way, Session::Way::up);
  EXPECT_FALSE(turn.ended);
  CopyThread thread;
  ASSERT_TRUE(thread.start(*session_, Session::Way::down, down_pipe_));
  session_->copy(Session::Way::up, up_pipe_);
  thread.wait();
  expect_closed(text.size(), text.size());
}

TEST_F(SessionTest, ThreadIsThereForTheNextSessionToo)
{
  CopyThread thread;
  for (int i = 0; i < 2; ++i) {
    use_legs(0);
    end_sending(client_.peer);
    end_sending(server_.peer);
    ASSERT_TRUE(thread.start(*session_, Session::Way::down, down_pipe_));
    session_->copy(Session::Way::up, up_pipe_);
    thread.wait();
  }
  EXPECT_EQ(table_.counter(Counter::connections_closed), 2);
}

// Without a second thread nothing may be lost, and neither way may hold up the other, however full it is.
TEST_F(SessionTest, OneThreadDoesForAllWhenBothWaysAreFull)
{
  use_legs(8192);
  const auto text = pattern(500'000, 2);
  const std::jthread client{[&] { send_all(client_.peer, text), end_sending(client_.peer); }};
  const std::jthread server{[&] { send_all(server_.peer, text), end_sending(server_.peer); }};
  const std::jthread reader{[&] { EXPECT_TRUE(receive_all(client_.peer, 1000) == text); }};
  const std::jthread other_reader{[&] { EXPECT_TRUE(receive_all(server_.peer, 700) == text); }};
  const auto turn = session_->exchange(Session::Stage::whole);
  EXPECT_TRUE(turn.ended);
  const auto opposite = turn.way == Session::Way::up ? Session::Way::down : Session::Way::up;
  session_->copy(turn.way, turn.way == Session::Way::up ? up_pipe_ : down_pipe_);
  session_->copy(opposite, opposite == Session::Way::up ? up_pipe_ : down_pipe_);
  expect_closed(text.size(), text.size());
}

} // namespace
} // namespace pepsal::test
