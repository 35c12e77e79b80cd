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
  send_all(client_.host, "request");
  EXPECT_EQ(receive(server_.host, 7), "request");
  send_all(server_.host, "the answer");
  end_sending(server_.host);
  EXPECT_EQ(receive_all(client_.host), "the answer");
  end_sending(client_.host);
  EXPECT_EQ(receive_all(server_.host), "");
  expect_closed(Counter::connections_closed, 7, 10);
}

TEST_F(SessionTest, OneWayEndsAndTheOtherGoesOn)
{
  run();
  send_all(client_.host, "question");
  end_sending(client_.host);
  EXPECT_EQ(receive_all(server_.host), "question"); // with its end
  const auto answer = pattern(1'000'000, 7);
  const std::jthread answering{[&] { send_all(server_.host, answer), end_sending(server_.host); }};
  EXPECT_TRUE(receive_all(client_.host) == answer);
  expect_closed(Counter::connections_closed, 8, answer.size());
}

// As a warm connection may be when its session begins: the client's end was passed on while the peer's answer was
// awaited, and the server's end arrived with it.
TEST_F(SessionTest, ServerLegThatHasEndedBothWaysBefore)
{
  use_connections(0);
  end_sending(client_.host);
  end_sending(session_->server());
  EXPECT_EQ(receive_all(server_.host), "");
  send_all(server_.host, "the answer");
  end_sending(server_.host);
  while (session_->server().state() != TCP_CLOSE) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  run();
  EXPECT_EQ(receive_all(client_.host), "the answer");
  expect_closed(Counter::connections_closed, 0, 10);
}

TEST_F(SessionTest, BulkBothWaysAtOnce)
{
  run();
  const auto up = pattern(30'000'000, 1);
  const auto down = pattern(30'000'000, 2);
  {
    const std::jthread client{[&] { send_all(client_.host, up), end_sending(client_.host); }};
    const std::jthread server{[&] { send_all(server_.host, down), end_sending(server_.host); }};
    const std::jthread reader{[&] { EXPECT_TRUE(receive_all(client_.host) == down); }};
    EXPECT_TRUE(receive_all(server_.host) == up);
  }
  expect_closed(Counter::connections_closed, up.size(), down.size());
}

// Neither direction may hold up the other, however full it is.
TEST_F(SessionTest, SlowReadersOfSmallBuffers)
{
  use_connections(8192);
  run();
  const auto text = pattern(500'000, 2);
  {
    const std::jthread client{[&] { send_all(client_.host, text), end_sending(client_.host); }};
    const std::jthread server{[&] { send_all(server_.host, text), end_sending(server_.host); }};
    const std::jthread reader{[&] { EXPECT_TRUE(receive_all(client_.host, 1000) == text); }};
    EXPECT_TRUE(receive_all(server_.host, 700) == text);
  }
  expect_closed(Counter::connections_closed, text.size(), text.size());
}

TEST_F(SessionTest, ResetComesAfterWhatWasSentBefore)
{
  run();
  send_all(client_.host, "tail");
  EXPECT_EQ(receive(server_.host, 4), "tail");
  reset(client_.host);
  EXPECT_EQ(end_of(server_.host), ECONNRESET);
  expect_closed(Counter::connections_reset, 4, 0);
}

// A host that closes with unread bytes sends a reset; what it sent before must still reach the other side.
TEST_F(SessionTest, ResetOfASinkDoesNotStopWhatItHadSent)
{
  const auto text = pattern(40'000, 3); // as much as the proxy's socket takes at once
  use_connections(0);
  send_all(server_.host, text);
  send_all(client_.host, "never read");
  run();
  EXPECT_EQ(receive(client_.host, 1000), text.substr(0, 1000));
  pollfd readable{.fd = server_.host.number(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&readable, 1, 60'000), 1);
  server_.host.close();
  EXPECT_TRUE(receive(client_.host, text.size() - 1000) == text.substr(1000));
  EXPECT_EQ(end_of(client_.host), ECONNRESET);
  expect_closed(Counter::connections_reset, 10, text.size());
}

// The source has said everything and forgets the connection; its reset in answer to a late probe does not affect a
// reader that has not reached the end yet.
TEST_F(SessionTest, EndInGoodOrderStaysOneWhateverHappensToItsSource)
{
  constexpr std::size_t bytes = 1'000'000; // more than the reader's socket takes at once
  const auto text = pattern(bytes, 4);
  run();
  {
    const std::jthread sender{[&] { send_all(server_.host, text), end_sending(server_.host); }};
    EXPECT_EQ(receive(client_.host, 1000), text.substr(0, 1000));
  }
  int unacknowledged = 1;
  while (unacknowledged > 0) { // or the reset would discard them
    ASSERT_EQ(::ioctl(server_.host.number(), SIOCOUTQ, &unacknowledged), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  reset(server_.host);
  EXPECT_TRUE(receive(client_.host, bytes - 1000) == text.substr(1000));
  char byte{};
  EXPECT_EQ(::recv(client_.host.number(), &byte, 1, 0), 0) << "the end of the stream";
}

TEST_F(SessionTest, ResetAfterAHalfCloseReachesASilentPeer)
{
  run();
  send_all(client_.host, "question");
  end_sending(client_.host);
  EXPECT_EQ(receive_all(server_.host), "question");
  reset(client_.host);
  pollfd silent{.fd = server_.host.number(), .events = 0, .revents = 0};
  ASSERT_EQ(::poll(&silent, 1, 60'000), 1);
  EXPECT_EQ(server_.host.take_error(), EPIPE) << "a reset after the stream's end";
  expect_closed(Counter::connections_reset, 8, 0);
}

} // namespace
} // namespace pepsal::test
