#include "dial/dial_book.hh"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "util/system_error.hh"

namespace pepsal::test {
namespace {

using namespace std::chrono_literals;

class DialBookTest : public testing::Test
{
protected:
  DialBook::Dial& add(std::uint16_t client_port, std::chrono::seconds deadline)
  {
    return book_.add({.ends = ends_of(client_port),
                      .socket = TCPSocket{check("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))},
                      .request = client_port,
                      .deadline = at(deadline)});
  }

  static Ends ends_of(std::uint16_t client_port)
  {
    return {.client = *Endpoint::parse("192.0.2.1", client_port), .server = *Endpoint::parse("198.51.100.1", 80)};
  }

  static DialBook::TimePoint at(std::chrono::seconds time) { return DialBook::TimePoint{time}; }

  DialBook book_;
};

TEST_F(DialBookTest, DialIsFoundByItsEndsAndByItsDescriptor)
{
  auto& dial = add(1, 10s);
  EXPECT_EQ(book_.find(ends_of(1)), &dial);
  EXPECT_EQ(book_.find(ends_of(2)), nullptr);
  EXPECT_EQ(book_.find_connecting(dial.socket.number()), &dial);
  EXPECT_EQ(book_.connecting(), 1U);
  EXPECT_EQ(book_.accepted(), 0U);
}

TEST_F(DialBookTest, AcceptedDialIsUnderWayNoLonger)
{
  auto& dial = add(1, 10s);
  const int descriptor = dial.socket.number();
  book_.set_accepted(dial, at(20s));
  EXPECT_EQ(book_.find_connecting(descriptor), nullptr);
  EXPECT_EQ(book_.find(ends_of(1)), &dial);
  EXPECT_EQ(book_.connecting(), 0U);
  EXPECT_EQ(book_.accepted(), 1U);
}

TEST_F(DialBookTest, EachIsDueOnceItsTimeHasCome)
{
  add(1, 10s);
  add(2, 12s);
  EXPECT_EQ(book_.due(at(9s)), nullptr);
  auto* const first = book_.due(at(10s));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->request, 1U);
  book_.erase(*first);
  EXPECT_EQ(book_.due(at(11s)), nullptr);
  EXPECT_EQ(book_.next_deadline(), at(12s));
  ASSERT_NE(book_.due(at(12s)), nullptr);
}

// Its first deadline was for the server's answer, its second one is for the proxy.
TEST_F(DialBookTest, AcceptedDialIsDueAtItsSecondDeadlineOnly)
{
  book_.set_accepted(add(1, 10s), at(20s));
  EXPECT_EQ(book_.due(at(19s)), nullptr);
  EXPECT_NE(book_.due(at(20s)), nullptr);
}

// A client that comes back with the same ports has a new dial, which is not due when the old one was.
TEST_F(DialBookTest, DeadlineOfAnErasedDialIsNotTheNextOnes)
{
  book_.erase(add(1, 10s));
  add(1, 15s);
  EXPECT_EQ(book_.due(at(14s)), nullptr);
  EXPECT_NE(book_.due(at(15s)), nullptr);
}

TEST_F(DialBookTest, OldestAcceptedIsTheOneThatHasWaitedLongest)
{
  book_.set_accepted(add(1, 10s), at(20s));
  book_.set_accepted(add(2, 10s), at(21s));
  add(3, 10s);
  ASSERT_NE(book_.oldest_accepted(), nullptr);
  EXPECT_EQ(book_.oldest_accepted()->request, 1U);
  book_.erase(*book_.oldest_accepted()); // a proxy has it
  EXPECT_EQ(book_.oldest_accepted()->request, 2U);
  EXPECT_EQ(book_.accepted(), 1U);
}

TEST_F(DialBookTest, EmptyBookWaitsForNothing)
{
  EXPECT_EQ(book_.next_deadline(), std::nullopt);
  EXPECT_EQ(book_.oldest_accepted(), nullptr);
}

} // namespace
} // namespace pepsal::test
