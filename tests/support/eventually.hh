#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace pepsal::test {

// How long a test waits for what must happen soon. Only a limit for failures: nothing asserts speed.
static constexpr std::chrono::seconds patience{60};

// Polls until the condition holds, ever less often, as asking may cost a program; false if it still does not after
// `limit`.
template<typename Condition> bool eventually(Condition condition, std::chrono::milliseconds limit = patience)
{
  constexpr std::chrono::milliseconds longest_pause{100};
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (std::chrono::milliseconds pause{10}; !condition(); pause = std::min(pause * 5 / 4, longest_pause)) {
    if (std::chrono::steady_clock::now() > deadline) {
      return condition();
    }
    std::this_thread::sleep_for(pause);
  }
  return true;
}

} // namespace pepsal::test
