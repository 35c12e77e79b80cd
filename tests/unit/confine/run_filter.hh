#pragma once

#include <cstdint>
#include <cstring>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "confine/filter.hh"

namespace pepsal::test {

// A filter's answer to a call, as the kernel evaluates it. Throws std::out_of_range if it leads outside.
inline std::uint32_t answer(const Filter& filter, const seccomp_data& call)
{
  std::uint32_t a = 0;
  for (std::size_t i = 0;; ++i) {
    const auto& [code, if_true, if_false, constant] = filter.at(i);
    switch (code) {
    case BPF_LD | BPF_W | BPF_ABS:
      std::memcpy(&a, reinterpret_cast<const char*>(&call) + constant, sizeof a);
      break;
    case BPF_ALU | BPF_AND | BPF_K:
      a &= constant;
      break;
    case BPF_JMP | BPF_JEQ | BPF_K:
      i += a == constant ? if_true : if_false;
      break;
    case BPF_JMP | BPF_JGE | BPF_K:
      i += a >= constant ? if_true : if_false;
      break;
    case BPF_JMP | BPF_JGT | BPF_K:
      i += a > constant ? if_true : if_false;
      break;
    case BPF_JMP | BPF_JA:
      i += constant;
      break;
    default:
      return constant;
    }
  }
}

} // namespace pepsal::test
