#include "proxy/server_leg.hh"

#include <cerrno>

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

// In the words of open_server_leg(), here and at the peer.
TEST(FailureCounterTest, CountsByWhatEndedTheDialHereOrAtThePeer)
{
  EXPECT_EQ(failure_counter("dial-" + dial_failure(ECONNREFUSED)), Counter::dials_refused);
  EXPECT_EQ(failure_counter("dial-" + dial_failure(ETIMEDOUT)), Counter::dials_timed_out);
  EXPECT_EQ(failure_counter("dial-" + dial_failure(EHOSTUNREACH)), Counter::dials_unreachable);
  EXPECT_EQ(failure_counter("dial-" + dial_failure(ENETUNREACH)), Counter::dials_unreachable);
  EXPECT_EQ(failure_counter("dial-refused-at-peer"), Counter::dials_refused);
  EXPECT_EQ(failure_counter("dial-" + dial_failure(EPERM)), Counter::dials_failed);
  EXPECT_EQ(failure_counter("dial-broken"), Counter::dials_failed);
  EXPECT_EQ(failure_counter("peer-lost"), Counter::dials_failed);
}

// The log names the errno if there is no word for it.
TEST(DialFailureTest, NamesTheErrorThatHasNoWord)
{
  EXPECT_EQ(dial_failure(ECONNREFUSED), "refused");
  EXPECT_EQ(dial_failure(EPROTO), "error-" + std::to_string(EPROTO));
}

} // namespace
} // namespace pepsal::test
