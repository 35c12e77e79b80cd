#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "util/file_descriptor.hh"

namespace pepsal::satsim {

// Enters a network namespace for its own lifetime; the thread returns to its own namespace at the end. The namespace is
// a name in /run/netns, a path, or the pid of a process that lives in it. Throws SystemError; a failure to return
// aborts, because everything that follows would happen in the wrong place.
class NamespaceScope
{
public:
  explicit NamespaceScope(const std::string& name);
  ~NamespaceScope();
  NamespaceScope(const NamespaceScope&) = delete;
  NamespaceScope& operator=(const NamespaceScope&) = delete;
  NamespaceScope(NamespaceScope&&) = delete;
  NamespaceScope& operator=(NamespaceScope&&) = delete;

private:
  FileDescriptor own_;
};

// A TUN interface in a network namespace that carries bare IP packets and takes part in GRO. It disappears with this
// object. The constructor throws SystemError, also if the name is taken.
class TunDevice
{
public:
  struct Settings
  {
    std::string network_namespace; // empty: the caller's
    std::string name;
    int mtu{1500};
    std::vector<std::string> addresses{}; // ADDRESS/LENGTH, IPv4 or IPv6
  };

  explicit TunDevice(const Settings& settings);

  int descriptor() const { return device_.number(); }

  // Reads the next packet that the kernel sends out of the interface; 0 if there is none.
  std::size_t read(std::span<std::byte> buffer);
  // Passes a packet to the kernel as received. False if the interface is down or out of memory.
  bool write(std::span<const std::byte> packet);

  // Packets that the kernel dropped because they were not read in time.
  std::uint64_t overruns();

private:
  FileDescriptor device_;
  FileDescriptor statistics_; // /proc/net/dev as seen in the device's namespace
  std::string name_;
};

} // namespace pepsal::satsim
