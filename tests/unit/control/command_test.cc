#include "control/command.hh"

#include <stdexcept>

#include <gtest/gtest.h>

namespace pepsal::test {
namespace {

using Kind = ControlCommand::Kind;

ControlCommand parse(std::string_view message)
{
  return parse_control_command(control_words(message));
}

TEST(ControlCommandTest, EachIsUnderstoodWithWhatBelongsToIt)
{
  EXPECT_EQ(parse("reload"), (ControlCommand{.kind = Kind::reload}));
  EXPECT_EQ(parse("restart"), (ControlCommand{.kind = Kind::restart}));
  EXPECT_EQ(parse("undrain"), (ControlCommand{.kind = Kind::undrain}));
  EXPECT_EQ(parse("drain 30"), (ControlCommand{.kind = Kind::drain, .number = 30}));
  EXPECT_EQ(parse(" link  sat0 30/10\n"), (ControlCommand{.kind = Kind::link, .first = "sat0", .second = "30/10"}));
  EXPECT_EQ(parse("kill 7 10.0.0.2:1 192.0.2.7:443"),
            (ControlCommand{.kind = Kind::kill, .number = 7, .first = "10.0.0.2:1", .second = "192.0.2.7:443"}));
}

TEST(ControlCommandTest, AnythingElseIsRefused)
{
  for (const auto* message : {"", "stop", "drain", "drain soon", "drain -1", "drain 1 2", "drain 99999999999",
                              "link sat0", "kill 7", "kill x 10.0.0.2:1 192.0.2.7:443"}) {
    EXPECT_THROW(parse(message), std::runtime_error) << message;
  }
}

TEST(ControlCommandTest, ARefusalSaysWhyAndSilenceIsToldApart)
{
  EXPECT_EQ(control_answer("ok serving"), "serving");
  const auto refusal = [](std::string_view message) -> std::string {
    try {
      control_answer(message);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_EQ(refusal("error the daemon is already draining"), "the daemon is already draining");
  EXPECT_NE(refusal("").find("ended without an answer"), std::string::npos);
}

} // namespace
} // namespace pepsal::test
