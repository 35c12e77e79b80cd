#include "util/system_error.hh"

#include <string>

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

TEST(SystemErrorTest, NamesTheCallItsOperandAndTheReason)
{
  EXPECT_STREQ(SystemError(ECONNREFUSED, "connect 10.0.0.2:80").what(), "connect 10.0.0.2:80: Connection refused");
}

TEST(SystemErrorTest, CheckThrowsForMinusOneAlone)
{
  EXPECT_EQ(check("read", 0L), 0L);
  EXPECT_EQ(check("read", -2L), -2L);
  errno = EPERM;
  try {
    check("open /etc/shadow", -1);
    FAIL() << "a failure passes";
  } catch (const SystemError& error) {
    EXPECT_EQ(error.code().value(), EPERM);
    EXPECT_EQ(std::string{error.what()}, "open /etc/shadow: Operation not permitted");
  }
}

} // namespace
} // namespace pepsal::test
