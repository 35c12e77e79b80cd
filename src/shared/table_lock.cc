// Locks that identify the processes of a daemon. Called by SharedSegment, and by a proxy whose manager has died. Fails
// only on what is not a file.

#include "shared/table_lock.hh"

#include <fcntl.h>

#include "util/system_error.hh"

namespace pepsal::table_lock {

namespace {

struct flock range_of(Owner owner, short type)
{
  struct flock result
  {};
  result.l_type = type;
  result.l_whence = SEEK_SET;
  result.l_start = owner;
  result.l_len = 1;
  return result;
}

constexpr Owner manager = no_owner;

// Another process's lock, of either type.
std::optional<struct flock> find(int descriptor, Owner owner)
{
  auto range = range_of(owner, F_WRLCK);
  check("fcntl F_GETLK", ::fcntl(descriptor, F_GETLK, &range));
  return range.l_type == F_UNLCK ? std::nullopt : std::optional{range};
}

} // namespace

bool take(int descriptor)
{
  const auto range = range_of(manager, F_WRLCK);
  return ::fcntl(descriptor, F_SETLK, &range) == 0;
}

std::optional<pid_t> find_manager(int descriptor)
{
  const auto found = find(descriptor, manager);
  return found && found->l_type == F_WRLCK ? std::optional{found->l_pid} : std::nullopt;
}

std::optional<pid_t> find_holder(int descriptor, Owner owner)
{
  const auto found = find(descriptor, owner);
  return found ? std::optional{found->l_pid} : std::nullopt;
}

void claim(int descriptor, Owner owner) noexcept
{
  const auto range = range_of(owner, F_RDLCK);
  [[maybe_unused]] const int locked = ::fcntl(descriptor, F_SETLK, &range);
}

} // namespace pepsal::table_lock
