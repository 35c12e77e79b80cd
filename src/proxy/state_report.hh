#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "shared/shared_segment.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// What a proxy tells the manager of itself, in the shared table: whether it waits for a connection or has one. The
// manager is woken when few idle proxies are left.
class StateReport
{
public:
  struct Proxy
  {
    Owner self;
    Owner highest; // number of a process; those that come later are not counted
    std::uint16_t listener;
    std::uint32_t few; // idle proxies at the listener
  };

  // `wake_up` is an eventfd(2) that the manager watches. The segment's memory must outlive it.
  StateReport(const SharedSegment& segment, Proxy proxy, FileDescriptor wake_up);

  // Wakes the manager if this proxy has become busy and few idle ones are left. As it does not count proxies that are
  // younger, it may wake the manager too often, but never too late.
  void show(ProcessState state);

  // From now on nobody is woken.
  void give_up_waking() { wake_up_.close(); }

private:
  std::uint32_t count_idle() const;

  Proxy proxy_;
  std::span<std::atomic<std::uint8_t>> states_;
  std::span<const RosterEntry> roster_;
  FileDescriptor wake_up_;
};

} // namespace pepsal
