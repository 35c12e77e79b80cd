#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace pepsal::test {

// Bytes that look random and are the same for the same seed: what one end sends and the other checks.
class Stream
{
public:
  explicit Stream(std::uint64_t seed)
      : seed_{seed}
  {}

  // The next bytes.
  void fill(std::span<std::byte> buffer);
  // The next bytes, as text for programs' input.
  std::string text(std::size_t bytes);
  // True when these are the next bytes.
  bool matches(std::span<const std::byte> received);

  std::uint64_t position() const { return position_; } // bytes so far

private:
  std::uint64_t seed_;
  std::uint64_t position_{};
};

} // namespace pepsal::test
