#pragma once

#include <cstdint>
#include <span>

namespace pepsal::test {

// Numbers taken one by one from a byte string; zeros once it is used up.
class Choices
{
public:
  explicit Choices(std::span<const std::uint8_t> bytes)
      : bytes_{bytes}
  {}

  bool empty() const { return bytes_.empty(); }

  std::uint32_t below(std::uint32_t limit)
  {
    if (bytes_.empty()) {
      return 0;
    }
    const auto byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte % limit;
  }

private:
  std::span<const std::uint8_t> bytes_;
};

} // namespace pepsal::test
