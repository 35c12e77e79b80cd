#pragma once

#include <utility>

namespace pepsal {

// Owns one file descriptor and closes it. Empty is -1, never 0: 0 is a valid descriptor. Every
// descriptor of the program is opened close-on-exec.
class FileDescriptor
{
public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd)
      : fd_{fd}
  {}
  ~FileDescriptor() { close(); }

  FileDescriptor(FileDescriptor&& other) noexcept
      : fd_{std::exchange(other.fd_, empty)}
  {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept
  {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, empty);
    }
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  // The descriptor's number, for system calls; -1 when empty.
  int number() const { return fd_; }
  bool is_open() const { return fd_ != empty; }

  // Releases the descriptor to the caller, who must close it.
  int release() { return std::exchange(fd_, empty); }

  // Idempotent. An error of close(2) is not reported: the descriptor is closed in any case.
  void close() noexcept;

private:
  static constexpr int empty = -1;

  int fd_{empty};
};

} // namespace pepsal
