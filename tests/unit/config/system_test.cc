#include "config/system.hh"

#include <gtest/gtest.h>

#include "command_words.hh"

namespace pepsal::test {
namespace {

TEST(ConfigOnThisSystem, UnknownCongestionControlIsNamedWithThoseThereAre)
{
  try {
    check_against_system(config_of({"-C", "nosuch"}));
    FAIL() << "accepted";
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("'nosuch'"), std::string::npos) << text;
    EXPECT_NE(text.find("reno"), std::string::npos) << text; // every kernel has it
  }
}

TEST(ConfigOnThisSystem, AddressThatTheBoxDoesNotHaveIsNamed)
{
  EXPECT_NO_THROW(check_against_system(config_of({"--address", "127.0.0.1"})));
  EXPECT_THROW(check_against_system(config_of({"--address", "192.0.2.77"})), std::runtime_error);
}

TEST(ConfigOnThisSystem, MissingInterfaceIsNamed)
{
  try {
    check_against_system(config_of({"--link", "nosuch0"}));
    FAIL() << "accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string{error.what()}.find("'nosuch0'"), std::string::npos);
  }
}

} // namespace
} // namespace pepsal::test
