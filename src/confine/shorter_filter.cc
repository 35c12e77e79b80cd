// Takes out of a filter what cannot change its result. Called once for each role, when its filter is made; cannot fail.

#include "confine/shorter_filter.hh"

#include <cstddef>
#include <cstdint>

namespace pepsal {

namespace {

constexpr std::size_t comparison_length = 3; // load half an argument, mask it, jump if equal

bool is_jump(const sock_filter& instruction)
{
  return BPF_CLASS(instruction.code) == BPF_JMP;
}

bool is_load(const sock_filter& instruction)
{
  return instruction.code == (BPF_LD | BPF_W | BPF_ABS);
}

// Which instructions some jump leads to, other than by going on.
std::vector<bool> targets_of_jumps(const Filter& filter)
{
  std::vector<bool> targets(filter.size() + 1);
  for (std::size_t i = 0; i < filter.size(); ++i) {
    const auto& [code, if_true, if_false, constant] = filter[i];
    if (code == (BPF_JMP | BPF_JA)) {
      targets.at(i + 1 + constant) = true;
    } else if (is_jump(filter[i])) {
      targets.at(i + 1 + if_true) = true;
      targets.at(i + 1 + if_false) = true;
    }
  }
  return targets;
}

// Nothing masked is always equal to zero. What was loaded is lost with the comparison, so another load has to follow.
bool is_needless(const Filter& filter, std::size_t at, const std::vector<bool>& targets)
{
  if (at + comparison_length >= filter.size()) {
    return false;
  }
  const auto& mask = filter[at + 1];
  const auto& jump = filter[at + 2];
  return is_load(filter[at]) && mask.code == (BPF_ALU | BPF_AND | BPF_K) && mask.k == 0 &&
         jump.code == (BPF_JMP | BPF_JEQ | BPF_K) && jump.k == 0 && jump.jt == 0 && !targets[at + 1] &&
         !targets[at + 2] && is_load(filter[at + comparison_length]);
}

} // namespace

Filter without_needless_comparisons(const Filter& filter)
{
  const auto targets = targets_of_jumps(filter);
  std::vector<std::size_t> place(filter.size() + 1); // of each instruction in the result, or of what follows it there
  std::vector<bool> kept(filter.size(), true);
  for (std::size_t i = 0; i < filter.size(); ++i) {
    if (kept[i] && is_needless(filter, i, targets)) {
      kept[i] = kept[i + 1] = kept[i + 2] = false;
    }
    place[i + 1] = place[i] + (kept[i] ? 1 : 0);
  }
  Filter result;
  result.reserve(place.back());
  for (std::size_t i = 0; i < filter.size(); ++i) {
    if (!kept[i]) {
      continue;
    }
    auto instruction = filter[i];
    const auto moved = [&](std::size_t offset) { return place[i + 1 + offset] - place[i + 1]; };
    if (instruction.code == (BPF_JMP | BPF_JA)) {
      instruction.k = static_cast<std::uint32_t>(moved(instruction.k));
    } else if (is_jump(instruction)) {
      instruction.jt = static_cast<std::uint8_t>(moved(instruction.jt));
      instruction.jf = static_cast<std::uint8_t>(moved(instruction.jf));
    }
    result.push_back(instruction);
  }
  return result;
}

} // namespace pepsal
