#pragma once

#include <string>

namespace pepsal {

// Becomes `user` for good, keeping only CAP_NET_ADMIN (marks, transparent sockets, NFQUEUE) and
// CAP_NET_BIND_SERVICE (clients' source ports below 1024). Throws std::runtime_error if it cannot.
void become_user(const std::string& user);

} // namespace pepsal
