// A proxy's state, in one byte of the shared table that the manager and pepsalctl read. Called by the proxy; nothing
// here can fail.

#include "proxy/state_report.hh"

#include <utility>

#include <unistd.h>

namespace pepsal {

StateReport::StateReport(const SharedSegment& segment, Proxy proxy, FileDescriptor wake_up)
    : proxy_{proxy}
    , states_{segment.process_states()}
    , roster_{segment.roster()}
    , wake_up_{std::move(wake_up)}
{}

void StateReport::show(ProcessState state)
{
  states_[proxy_.self].store(static_cast<std::uint8_t>(state), std::memory_order_release);
  if (state == ProcessState::busy && count_idle() <= proxy_.few) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_up_.number(), &one, sizeof one);
  }
}

std::uint32_t StateReport::count_idle() const
{
  std::uint32_t idle = 0;
  for (Owner owner = 1; owner <= proxy_.highest; ++owner) {
    const auto state = static_cast<ProcessState>(states_[owner].load(std::memory_order_acquire));
    idle += (state == ProcessState::idle || state == ProcessState::starting) &&
            roster_[owner].index.load(std::memory_order_relaxed) == proxy_.listener;
  }
  return idle;
}

} // namespace pepsal
