#pragma once

#include <chrono>
#include <thread>

namespace pepsal::test {

// How long a test waits for what must happen soon. Only a limit for failures: nothing asserts speed.
static constexpr std::chrono::seconds patience{60};

// Polls until the condition holds; false if it still does not after `limit`.
template<typename Condition> bool eventually(Condition condition, std::chrono::milliseconds limit = patience)
{
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return condition();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  return true;
}

} // namespace pepsal::test
