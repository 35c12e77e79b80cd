// Finds a user's ids. Called before the daemon switches to that user, and by --check.

#include "util/user.hh"

#include <cstdio>
#include <memory>
#include <stdexcept>

#include <fmt/core.h>
#include <pwd.h>

namespace pepsal {

UserId find_user(const std::string& name)
{
  // Not getpwnam(3): in a static program it would need the C library's shared modules at run time.
  const std::unique_ptr<FILE, int (*)(FILE*)> file{std::fopen("/etc/passwd", "re"), &std::fclose};
  while (file) {
    const auto* entry = ::fgetpwent(file.get());
    if (entry == nullptr) {
      break;
    }
    if (name == entry->pw_name) {
      return {.user = entry->pw_uid, .group = entry->pw_gid};
    }
  }
  throw std::runtime_error{fmt::format("user '{}' is not in /etc/passwd", name)};
}

} // namespace pepsal
