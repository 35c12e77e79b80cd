#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

// What libFuzzer and replay_main call. A harness that finds a fault throws or aborts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace pepsal::test {

inline void require(bool holds, const char* what)
{
  if (!holds) {
    throw std::logic_error{what};
  }
}

// A copy of the bytes with nothing after them, so that AddressSanitizer sees a read past their end.
inline std::vector<std::byte> exact_copy(std::span<const std::uint8_t> bytes)
{
  const auto all = std::as_bytes(bytes);
  return {all.begin(), all.end()};
}

inline std::string_view text_of(std::span<const std::uint8_t> bytes)
{
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace pepsal::test
