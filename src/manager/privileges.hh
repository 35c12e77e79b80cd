#pragma once

#include <string>

#include <sys/types.h>

namespace pepsal {

// Throws std::runtime_error with the remedy unless this process has CAP_NET_ADMIN.
void require_net_admin();

struct UserId
{
  uid_t user;
  gid_t group;
};

// A local user's numbers, out of /etc/passwd. Throws std::runtime_error if there is none of that name.
UserId find_user(const std::string& name);

// Becomes `user` for good, keeping only CAP_NET_ADMIN (marks, transparent sockets, NFQUEUE), CAP_NET_BIND_SERVICE
// (clients' source ports below 1024), CAP_NET_RAW (unbinding accepted sockets from an interface) and CAP_SYS_CHROOT
// (its children's empty root). Throws std::runtime_error if it cannot.
void become_user(const std::string& user);

} // namespace pepsal
