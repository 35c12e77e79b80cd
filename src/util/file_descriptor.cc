// The owner of a file descriptor; the base of every socket, pipe and event descriptor here.

#include "util/file_descriptor.hh"

#include <unistd.h>

namespace pepsal {

void FileDescriptor::close() noexcept
{
  if (fd_ != empty) {
    ::close(std::exchange(fd_, empty));
  }
}

} // namespace pepsal
