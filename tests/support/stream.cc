// Test streams, generated and checked by position, so that lost, duplicated or swapped bytes all show. Nothing here can
// fail.

#include "support/stream.hh"

#include <algorithm>
#include <array>
#include <bit>

namespace pepsal::test {

namespace {

constexpr std::size_t word_bytes = 8;

// SplitMix64 (Steele, Lea, Flood 2014): a good hash of a counter.
std::uint64_t word(std::uint64_t seed, std::uint64_t index)
{
  std::uint64_t z = seed * 0xd1342543de82ef95U + (index + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

std::array<std::byte, word_bytes> word_at(std::uint64_t seed, std::uint64_t index)
{
  return std::bit_cast<std::array<std::byte, word_bytes>>(word(seed, index));
}

} // namespace

void Stream::fill(std::span<std::byte> buffer)
{
  while (!buffer.empty()) {
    const auto bytes = word_at(seed_, position_ / word_bytes);
    const auto offset = position_ % word_bytes;
    const auto length = std::min<std::size_t>(word_bytes - offset, buffer.size());
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), length, buffer.begin());
    buffer = buffer.subspan(length);
    position_ += length;
  }
}

std::string Stream::text(std::size_t bytes)
{
  std::string result(bytes, '\0');
  fill(std::as_writable_bytes(std::span{result}));
  return result;
}

bool Stream::matches(std::span<const std::byte> received)
{
  std::array<std::byte, 4096> expected{};
  while (!received.empty()) {
    const auto part = std::span{expected}.first(std::min(received.size(), expected.size()));
    fill(part);
    if (!std::ranges::equal(part, received.first(part.size()))) {
      return false;
    }
    received = received.subspan(part.size());
  }
  return true;
}

} // namespace pepsal::test
