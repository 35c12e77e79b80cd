// Gives up root for --user. Called by the manager once all that needs root is open. Fails when the
// process may not change its user or its capabilities.

#include "pepsal/manager/privileges.hh"

#include <stdexcept>

#include <cap-ng.h>
#include <fmt/format.h>
#include <pwd.h>

namespace pepsal {

void become_user(const std::string& user)
{
  const auto* entry = ::getpwnam(user.c_str());
  if (entry == nullptr) {
    throw std::runtime_error{fmt::format("user '{}' does not exist", user)};
  }
  ::capng_clear(CAPNG_SELECT_BOTH);
  const int updated = ::capng_updatev(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
                                      CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, -1);
  const int changed = ::capng_change_id(static_cast<int>(entry->pw_uid), static_cast<int>(entry->pw_gid),
                                        static_cast<capng_flags_t>(CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING));
  if (updated != 0 || changed != 0) {
    throw std::runtime_error{fmt::format("cannot become user '{}' (libcap-ng {}): start as root", user, changed)};
  }
}

} // namespace pepsal
