#include "util/user.hh"

#include <stdexcept>

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

TEST(FindUserTest, FindsNumbersOfALocalUser)
{
  const auto root = find_user("root");
  EXPECT_EQ(root.user, 0U);
  EXPECT_EQ(root.group, 0U);
}

TEST(FindUserTest, NamesWhomItDoesNotFind)
{
  try {
    find_user("nosuchuser");
    FAIL() << "a user is found who is not there";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "user 'nosuchuser' is not in /etc/passwd");
  }
}

} // namespace
} // namespace pepsal::test
