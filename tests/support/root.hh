#pragma once

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace pepsal::test {

// A test that creates network namespaces: it is skipped without root, and fails where that is not allowed (CI=true).
class RootTest : public testing::Test
{
protected:
  void SetUp() override
  {
    if (::geteuid() != 0) {
      const char* ci = std::getenv("CI");
      ASSERT_FALSE(ci != nullptr && std::string{ci} == "true") << "needs root, and CI must have it";
      GTEST_SKIP() << "needs root, for network namespaces";
    }
  }
};

} // namespace pepsal::test
