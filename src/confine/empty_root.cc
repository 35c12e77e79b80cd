// An empty root directory. Created by whoever starts processes, while it may write to /run; each process enters it for
// itself. A directory that has been removed remains usable for processes that have it open, and the kernel lets nobody,
// not even root, create anything in it.

#include "confine/empty_root.hh"

#include <array>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal {

FileDescriptor make_empty_root()
{
  constexpr mode_t enter_and_no_more = 0111; // for --user, too
  for (const std::string place : {"/run", "/tmp", "/dev/shm"}) {
    auto name = place + "/pepsal.XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      continue;
    }
    FileDescriptor root{::open(name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    const bool ready = ::chmod(name.c_str(), enter_and_no_more) == 0;
    if (::rmdir(name.c_str()) == 0 && ready && root.is_open()) {
      return root;
    }
  }
  return {};
}

void enter_empty_root(const FileDescriptor& root)
{
  check("fchdir", ::fchdir(root.number()));
  check("chroot", ::chroot("."));
}

} // namespace pepsal
