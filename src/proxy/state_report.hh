#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "shared/shared_segment.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// What a proxy tells the manager about itself, in the shared table: whether it waits for a connection or has one. It
// wakes the manager when few idle proxies are left.
class StateReport
{
public:
  struct Proxy
  {
    Owner self;
    Owner highest; // owner number; processes with higher ones are not counted
    std::uint16_t listener;
    std::uint32_t few; // idle proxies at the listener
  };

  // `wake_up` is an eventfd(2) that the manager watches. The segment's memory must outlive it.
  StateReport(const SharedSegment& segment, Proxy proxy, FileDescriptor wake_up);

  // Wakes the manager if this proxy has become busy and few idle ones are left. It does not count younger proxies, so
  // it may wake the manager too often, but never too late.
  void show(ProcessState state);

  // Wakes nobody from now on.
  void give_up_waking() { wake_up_.close(); }

private:
  std::uint32_t count_idle() const;

  Proxy proxy_;
  std::span<std::atomic<std::uint8_t>> states_;
  std::span<const RosterEntry> roster_;
  FileDescriptor wake_up_;
};

} // namespace pepsal
