#pragma once

#include "support/child_process.hh"
#include "support/eventually.hh"
#include "support/root.hh"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace pepsal::test {

inline std::string content(const std::string& path)
{
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// A lab of this process's own, and what is left of it.
class Satlab : public RootTest
{
protected:
  void SetUp() override
  {
    RootTest::SetUp();
    std::filesystem::create_directory(folder_);
  }

  void TearDown() override
  {
    if (std::filesystem::exists("/run/pepsal-satlab/" + lab_)) {
      satlab({"down"});
    }
    std::filesystem::remove_all(folder_);
  }

  Command command(const std::vector<std::string>& arguments) const
  {
    Command command{.arguments = {PEPSAL_SATLAB, "--name", lab_}};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.environment = {std::string{"SATSIM="} + PEPSAL_SATSIM};
    return command;
  }
  Result satlab(const std::vector<std::string>& arguments) const { return ChildProcess{command(arguments)}.finish(); }

  std::string must(const std::vector<std::string>& arguments) const
  {
    const auto result = satlab(arguments);
    EXPECT_EQ(result.status, 0) << arguments.front() << ": " << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
  }

  std::string scenario(const std::string& text, const std::string& name = "test") const
  {
    const auto path = folder_ + "/" + name + ".conf";
    std::ofstream{path} << text;
    return path;
  }
  std::string fast() const { return scenario("DOWN_MBIT=50\nUP_MBIT=50\nRTT_MS=10\n"); }

  // Everything on the machine that a lab touches, as far as it is this one's.
  std::string traces() const
  {
    std::string found;
    for (const auto* directory : {"/run/netns", "/run/pepsal-satlab", "/sys/class/net"}) {
      std::error_code missing;
      for (const auto& entry : std::filesystem::directory_iterator{directory, missing}) {
        const auto name = entry.path().filename().string();
        // Other labs and tests may run at the same time: only interfaces with labs' names, and this lab's files.
        const bool interface = name == "sat0" || name == "lan0" || name == "wan0";
        found += name.starts_with(lab_) || interface ? entry.path().string() + "\n" : "";
      }
    }
    for (const auto& process : std::filesystem::directory_iterator{"/proc"}) {
      auto arguments = content(process.path().string() + "/cmdline");
      std::ranges::replace(arguments, '\0', ' ');
      const bool ours =
          arguments.find(lab_ + "-") != std::string::npos && arguments.find("satsim") != std::string::npos;
      found += ours ? arguments + "\n" : "";
    }
    return found;
  }

  void expect_no_trace() const
  {
    eventually([&] { return traces().empty(); }, std::chrono::seconds{3});
    EXPECT_EQ(traces(), "");
  }

  void expect_one_line(const Result& result, int status, const std::string& named) const
  {
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    EXPECT_NE(result.err.find(named), std::string::npos) << result.err;
    EXPECT_EQ(traces(), "");
  }

  const std::string lab_ = fmt::format("t{}", getpid());
  const std::string folder_ = fmt::format("/tmp/satlab_test.{}", getpid());
};

} // namespace pepsal::test
