// Sums over the table and the roster. Called by status and metrics. Nothing here can fail.

#include "pepsalctl/totals.hh"

#include <array>
#include <string_view>

#include "pepsalctl/connections.hh"

namespace pepsal {

// A connection that ends while the table is read would count twice, or not at all: then it is read again.
std::uint64_t running_value(const SharedSegment& segment, Counter counter)
{
  const auto view = segment.view();
  if (counter != Counter::bytes_up && counter != Counter::bytes_down) {
    return view.value(counter);
  }
  constexpr int tries = 8;
  for (int attempt = 1;; ++attempt) {
    const auto ended = view.value(counter);
    std::uint64_t running = 0;
    view.for_each(
        [&](const TableEntry& entry) { running += counter == Counter::bytes_up ? entry.bytes_up : entry.bytes_down; });
    if (view.value(counter) == ended || attempt == tries) {
      return running + view.value(counter);
    }
  }
}

std::map<std::string, std::uint32_t> processes_of(const SharedSegment& segment)
{
  // By ProcessState.
  constexpr std::array names{"none", "starting", "idle", "busy", "queuer", "waiting", "keeper", "dialler"};
  std::map<std::string, std::uint32_t> result;
  for (std::size_t state = 1; state < names.size(); ++state) {
    result[names.at(state)] = 0;
  }
  for (const auto& state : segment.process_states()) {
    const auto index = state.load(std::memory_order_relaxed); // from shared memory: bounded here
    if (index != 0 && index < names.size()) {
      ++result[names.at(index)];
    }
  }
  return result;
}

std::map<std::string, std::uint32_t> interfaces_of(const SharedSegment& segment)
{
  std::map<std::string, std::uint32_t> result;
  segment.view().for_each(
      [&](const TableEntry& entry) { ++result[interface_name(entry.connection.syn.arrival_interface)]; });
  return result;
}

} // namespace pepsal
