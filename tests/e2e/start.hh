#pragma once

#include "fixture.hh"

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

namespace pepsal::test {

inline constexpr std::uint16_t proxy_port = 5000;
inline constexpr int exit_usage = 2;
inline constexpr int exit_environment = 1;
inline constexpr const char* shared_memory = "/dev/shm/pepsal.default";

struct Refusal
{
  std::vector<std::string> arguments;
  std::vector<std::string> named; // what the one line must say
};

class StartTest : public NetworkTest
{
protected:
  // The daemon must refuse to start, say why in one line, and leave everything as it was.
  void expect_refused(int status, const Refusal& refusal, const std::vector<std::string>& prefix = {})
  {
    const auto before = what_is_left();
    const auto result = run_program(net(), "pepsal", refusal.arguments, prefix);
    SCOPED_TRACE(Command{.arguments = refusal.arguments}.to_string());
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(result.err.starts_with("pepsal: ")) << result.err;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    for (const auto& text : refusal.named) {
      EXPECT_NE(result.err.find(text), std::string::npos) << "no '" << text << "' in: " << result.err;
    }
    EXPECT_EQ(what_is_left(), before);
  }

  // Makes the daemon read the file again, and waits until no proxy that was idle before is left.
  void reload()
  {
    const auto old = daemon().processes("proxy idle");
    daemon().signal(SIGHUP);
    ASSERT_TRUE(daemon().log_line("configuration reloaded").has_value());
    EXPECT_TRUE(eventually([&] {
      const auto now = daemon().processes("proxy idle");
      return std::ranges::none_of(now, [&](const auto& process) {
        return std::ranges::any_of(old, [&](const auto& before) { return before.pid == process.pid; });
      });
    }));
  }

  std::string outside(const std::string& path) { return net().sandbox().outside(path); }
};

} // namespace pepsal::test
