#pragma once

#include <string>
#include <vector>

#include "fixture.hh"

namespace pepsal::test {

// A daemon with its rules, and pepsalctl to command it.
class CommandTest : public NetworkTest
{
protected:
  void SetUp() override
  {
    NetworkTest::SetUp();
    if (!IsSkipped() && !HasFatalFailure()) {
      start_daemon();
      start_rules(net(), Mode::tproxy);
    }
  }

  // pepsalctl with several words.
  Result command(std::vector<std::string> words) { return run_program(net(), "pepsalctl", std::move(words)); }
};

} // namespace pepsal::test
