#include "proxy/session.hh"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "loopback.hh"

namespace pepsal::test {
namespace {

// A session between two peers on loopback, run by a thread of its own as a proxy runs it.
class SessionTest : public testing::Test
{
protected:
  ~SessionTest() override { wait_for_end(); }

  void use_connections(int buffer_bytes)
  {
    client_ = make_ends(buffer_bytes);
    server_ = make_ends(buffer_bytes);
    const Connection connection{
        .client = *Endpoint::parse("10.0.0.2", 40000), .server = *Endpoint::parse("10.0.1.2", 80), .syn = {}};
    auto claim = table_.insert_connecting(connection, owner, boot_time_now());
    for (auto* ends : {&client_, &server_}) {
      ends->proxy.set_reset_on_close(true);
    }
    session_.emplace(table_, std::move(client_.proxy), profile_, connection, claim, LogConnections::none, memory_);
    session_->open(std::move(server_.proxy), profile_, 0);
  }

  void run()
  {
    if (!session_) {
      use_connections(0);
    }
    running_ = std::jthread{[this] { session_->run(); }};
  }

  void wait_for_end()
  {
    if (running_.joinable()) {
      running_.join();
    }
  }

  void expect_closed(Counter counter, std::uint64_t up, std::uint64_t down)
  {
    wait_for_end();
    EXPECT_EQ(table_.counter(counter), 1);
    EXPECT_EQ(table_.counter(Counter::bytes_up), up);
    EXPECT_EQ(table_.counter(Counter::bytes_down), down);
    EXPECT_EQ(table_.size(), 0) << "the slot is free again";
  }

  static int end_of(const TCPSocket& socket)
  {
    try {
      receive_all(socket);
      return 0;
    } catch (const SystemError& error) {
      return error.code().value();
    }
  }

  static constexpr Owner owner = 1;

  LegProfile profile_;
  SharedSegment segment_ = SharedSegment::anonymous({.max_connections = 10, .processes = 8});
  ConnectionTable table_{segment_};
  LoopbackEnds client_;
  LoopbackEnds server_;
  Session::Memory memory_;
  std::optional<Session> session_;
  std::jthread running_;
};

TEST_F(SessionTest, RequestAndAnswer)
{
  run();
  send_all(client_.peer, "request");
  EXPECT_EQ(receive(server_.peer, 7), "request");
  send_all(server_.peer, "the answer");
  end_sending(server_.peer);
  EXPECT_EQ(receive_all(client_.peer), "the answer");
  end_sending(client_.peer);
  EXPECT_EQ(receive_all(server_.peer), "");
  expect_closed(Counter::connections_closed, 7, 10);
}

TEST_F(SessionTest, OneWayEndsAndTheOtherGoesOn)
{
  run();
  send_all(client_.peer, "question");
  end_sending(client_.peer);
  EXPECT_EQ(receive_all(server_.peer), "question"); // with its end
  const auto answer = pattern(1'000'000, 7);
  const std::jthread answering{[&] { send_all(server_.peer, answer), end_sending(server_.peer); }};
  EXPECT_TRUE(receive_all(client_.peer) == answer);
  expect_closed(Counter::connections_closed, 8, answer.size());
}

// As a warm connection may be when its session begins: the client's end was passed on while the peer's answer was
// awaited, and the server's has come with it.
TEST_F(SessionTest, ServerLegThatHasEndedBothWaysBefore)
{
  use_connections(0);
  end_sending(client_.peer);
  end_sending(session_->server());
  EXPECT_EQ(receive_all(server_.peer), "");
  send_all(server_.peer, "the answer");
  end_sending(server_.peer);
  while (session_->server().state() != TCP_CLOSE) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  run();
  EXPECT_EQ(receive_all(client_.peer), "the answer");
  expect_closed(Counter::connections_closed, 0, 10);
}

TEST_F(SessionTest, BulkBothWaysAtOnce)
{
  run();
  const auto up = pattern(30'000'000, 1);
  const auto down = pattern(30'000'000, 2);
  {
    const std::jthread client{[&] { send_all(client_.peer, up), end_sending(client_.peer); }};
    const std::jthread server{[&] { send_all(server_.peer, down), end_sending(server_.peer); }};
    const std::jthread reader{[&] { EXPECT_TRUE(receive_all(client_.peer) == down); }};
    EXPECT_TRUE(receive_all(server_.peer) == up);
  }
  expect_closed(Counter::connections_closed, up.size(), down.size());
}

// Neither way may hold up the other, however full it is.
TEST_F(SessionTest, SlowReadersOfSmallBuffers)
{
  use_connections(8192);
  run();
  const auto text = pattern(500'000, 2);
  {
    const std::jthread client{[&] { send_all(client_.peer, text), end_sending(client_.peer); }};
    const std::jthread server{[&] { send_all(server_.peer, text), end_sending(server_.peer); }};
    const std::jthread reader{[&] { EXPECT_TRUE(receive_all(client_.peer, 1000) == text); }};
    EXPECT_TRUE(receive_all(server_.peer, 700) == text);
  }
  expect_closed(Counter::connections_closed, text.size(), text.size());
}

TEST_F(SessionTest, ResetComesAfterWhatWasSentBefore)
{
  run();
  send_all(client_.peer, "tail");
  EXPECT_EQ(receive(server_.peer, 4), "tail");
  reset(client_.peer);
  EXPECT_EQ(end_of(server_.peer), ECONNRESET);
  expect_closed(Counter::connections_reset, 4, 0);
}

// Whoever closes with bytes unread resets; what has come from it before is for the other side all the same.
TEST_F(SessionTest, ResetOfASinkDoesNotStopWhatItHadSent)
{
  const auto text = pattern(40'000, 3); // as much as the proxy's socket takes at once
  use_connections(0);
  send_all(server_.peer, text);
  send_all(client_.peer, "never read");
  run();
  EXPECT_EQ(receive(client_.peer, 1000), text.substr(0, 1000));
  pollfd readable{.fd = server_.peer.number(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&readable, 1, 60'000), 1);
  server_.peer.close();
  EXPECT_TRUE(receive(client_.peer, text.size() - 1000) == text.substr(1000));
  EXPECT_EQ(end_of(client_.peer), ECONNRESET);
  expect_closed(Counter::connections_reset, 10, text.size());
}

// The source has said all and forgets the connection; its reset in answer to a late question is nothing to a reader
// that has not come to the end yet.
TEST_F(SessionTest, EndInGoodOrderStaysOneWhateverHappensToItsSource)
{
  constexpr std::size_t bytes = 1'000'000; // more than the reader's socket takes at once
  const auto text = pattern(bytes, 4);
  run();
  {
    const std::jthread sender{[&] { send_all(server_.peer, text), end_sending(server_.peer); }};
    EXPECT_EQ(receive(client_.peer, 1000), text.substr(0, 1000));
  }
  int unacknowledged = 1;
  while (unacknowledged > 0) { // or the reset would take them away
    ASSERT_EQ(::ioctl(server_.peer.number(), SIOCOUTQ, &unacknowledged), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  reset(server_.peer);
  EXPECT_TRUE(receive(client_.peer, bytes - 1000) == text.substr(1000));
  char byte{};
  EXPECT_EQ(::recv(client_.peer.number(), &byte, 1, 0), 0) << "the end of the stream";
}

TEST_F(SessionTest, ResetAfterAHalfCloseReachesASilentPeer)
{
  run();
  send_all(client_.peer, "question");
  end_sending(client_.peer);
  EXPECT_EQ(receive_all(server_.peer), "question");
  reset(client_.peer);
  pollfd silent{.fd = server_.peer.number(), .events = 0, .revents = 0};
  ASSERT_EQ(::poll(&silent, 1, 60'000), 1);
  EXPECT_EQ(server_.peer.take_error(), EPIPE) << "a reset after the stream's end";
  expect_closed(Counter::connections_reset, 8, 0);
}

} // namespace
} // namespace pepsal::test
