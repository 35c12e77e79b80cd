#include "confine/shorter_filter.hh"

#include <array>

#include <gtest/gtest.h>
#include <linux/seccomp.h>

#include "run_filter.hh"

namespace pepsal::test {
namespace {

sock_filter load(std::size_t offset)
{
  return {.code = BPF_LD | BPF_W | BPF_ABS, .jt = 0, .jf = 0, .k = static_cast<std::uint32_t>(offset)};
}

sock_filter mask(std::uint32_t bits)
{
  return {.code = BPF_ALU | BPF_AND | BPF_K, .jt = 0, .jf = 0, .k = bits};
}

sock_filter jump_if_equal(std::uint32_t value, std::uint8_t if_true, std::uint8_t if_false)
{
  return {.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = if_true, .jf = if_false, .k = value};
}

sock_filter give(std::uint32_t result)
{
  return {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = result};
}

constexpr std::size_t upper_half = 4;
constexpr std::size_t first_argument = offsetof(seccomp_data, args);
constexpr std::size_t second_argument = first_argument + sizeof(std::uint64_t);

// Call 7 whose first argument's lower half is 5, or whose second one has bit 0, as libseccomp writes it.
Filter filter_with_needless_comparisons()
{
  return {load(offsetof(seccomp_data, nr)),
          jump_if_equal(7, 0, 12),
          load(first_argument + upper_half),
          mask(0),
          jump_if_equal(0, 0, 9),
          load(first_argument),
          jump_if_equal(5, 8, 0),
          load(second_argument + upper_half),
          mask(0),
          jump_if_equal(0, 0, 4),
          load(second_argument),
          mask(1),
          jump_if_equal(1, 2, 1),
          {.code = BPF_JMP | BPF_JA, .jt = 0, .jf = 0, .k = 0},
          give(SECCOMP_RET_ERRNO),
          give(SECCOMP_RET_ALLOW)};
}

TEST(ShorterFilterTest, SaysTheSame)
{
  const auto filter = filter_with_needless_comparisons();
  const auto shorter = without_needless_comparisons(filter);
  EXPECT_EQ(shorter.size(), filter.size() - 6);
  constexpr std::array<std::uint64_t, 6> values{0, 1, 4, 5, 0x100000005, 0x100000000};
  for (const int call : {6, 7, 8}) {
    for (const auto first : values) {
      for (const auto second : values) {
        const seccomp_data asked{.nr = call, .arch = 0, .instruction_pointer = 0, .args = {first, second}};
        EXPECT_EQ(answer(shorter, asked), answer(filter, asked)) << call << ' ' << first << ' ' << second;
      }
    }
  }
}

TEST(ShorterFilterTest, WhatIsJumpedIntoStays)
{
  auto filter = filter_with_needless_comparisons();
  filter[1] = jump_if_equal(7, 1, 2); // to the mask and the comparison
  EXPECT_EQ(without_needless_comparisons(filter).size(), filter.size() - 3);
}

TEST(ShorterFilterTest, WhatIsComparedStays)
{
  auto filter = filter_with_needless_comparisons();
  filter[3] = mask(1);
  filter[9] = jump_if_equal(0, 1, 4); // over the next load, so that what was loaded counts
  EXPECT_EQ(without_needless_comparisons(filter).size(), filter.size());
}

} // namespace
} // namespace pepsal::test
