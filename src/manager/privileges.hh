#pragma once

#include <string>

namespace pepsal {

// Throws std::runtime_error with the remedy if this process does not have CAP_NET_ADMIN.
void require_net_admin();

// Switches to `user` for good, keeping only CAP_NET_ADMIN (marks, transparent sockets, NFQUEUE), CAP_NET_BIND_SERVICE
// (clients' source ports below 1024), CAP_NET_RAW (unbinding accepted sockets from an interface) and CAP_SYS_CHROOT
// (its children's empty root). Throws std::runtime_error if it cannot.
void become_user(const std::string& user);

} // namespace pepsal
