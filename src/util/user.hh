#pragma once

#include <string>

#include <sys/types.h>

namespace pepsal {

struct UserId
{
  uid_t user;
  gid_t group;
};

// A local user's ids, from /etc/passwd. Throws std::runtime_error if there is no user of that name.
UserId find_user(const std::string& name);

} // namespace pepsal
