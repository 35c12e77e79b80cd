#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/command_line.hh"

namespace pepsal::test {

using Words = std::vector<const char*>;

inline CommandLine parse(Words words)
{
  words.insert(words.begin(), "pepsal");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

inline Config config_of(const Words& words)
{
  const auto line = parse(words);
  EXPECT_EQ(line.task, CommandLine::Task::run);
  return line.config;
}

inline std::string complaint_about(const Words& words)
{
  try {
    parse(words);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

} // namespace pepsal::test
