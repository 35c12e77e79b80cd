#pragma once

#include "util/file_descriptor.hh"

#include <string>

#include <sys/types.h>

namespace pepsal::test {

// A network namespace without a name: it disappears with its last process and descriptor, so that a killed test leaves
// none behind.
class NetworkNamespace
{
public:
  NetworkNamespace();

  int number() const { return fd_.number(); }

private:
  FileDescriptor fd_;
};

// Moves the calling thread into a network namespace during its lifetime. Sockets created meanwhile stay there.
class Visit
{
public:
  explicit Visit(const NetworkNamespace& where);
  ~Visit();

  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  Visit(Visit&&) = delete;
  Visit& operator=(Visit&&) = delete;

private:
  FileDescriptor home_;
};

// A process namespace and a mount namespace shared by all programs of one test, with their own /dev, /proc, /run, /sys
// and /dev/shm. Its first process dies with the test that created it, and the kernel then kills all others, including
// daemons.
class Sandbox
{
public:
  // Its /sys shows the devices of `network`.
  explicit Sandbox(const NetworkNamespace& network);
  ~Sandbox();

  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  Sandbox(Sandbox&&) = delete;
  Sandbox& operator=(Sandbox&&) = delete;

  int process_namespace() const { return process_namespace_.number(); }
  int mount_namespace() const { return mount_namespace_.number(); }
  pid_t first_process() const { return first_process_; }

  // Where the test process finds a path of the sandbox.
  std::string outside(const std::string& path_inside) const;

  // A folder in memory for the programs' files.
  static constexpr const char* work_folder = "/run/sandbox";

private:
  pid_t first_process_{-1};
  FileDescriptor process_namespace_;
  FileDescriptor mount_namespace_;
};

} // namespace pepsal::test
