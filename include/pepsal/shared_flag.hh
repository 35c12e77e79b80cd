#pragma once

#include <atomic>
#include <cstdint>

namespace pepsal {

// A std::atomic<bool> for shared memory, where a compromised process may write any byte: a bool that is neither true
// nor false is undefined behaviour, whereas this one is true for any byte but 0.
class SharedFlag
{
public:
  SharedFlag() = default;
  SharedFlag(const SharedFlag&) = delete;
  SharedFlag& operator=(const SharedFlag&) = delete;
  ~SharedFlag() = default;

  SharedFlag& operator=(bool value)
  {
    byte_.store(value ? 1 : 0);
    return *this;
  }

  // Implicit, like that of std::atomic<bool>.
  operator bool() const { return byte_.load() != 0; }

private:
  std::atomic<std::uint8_t> byte_;
};

} // namespace pepsal
