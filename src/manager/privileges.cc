// Gives up root for --user. Called by the manager once everything that needs root is open. Fails if the process may not
// change its user or its capabilities.

#include "manager/privileges.hh"

#include <stdexcept>

#include <cap-ng.h>
#include <fmt/core.h>

#include "util/user.hh"

namespace pepsal {

void require_net_admin()
{
  if (::capng_get_caps_process() == -1 || ::capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) == 0) {
    throw std::runtime_error{"CAP_NET_ADMIN is missing (for marks, transparent sockets and NFQUEUE): start as root"};
  }
}

void become_user(const std::string& user)
{
  const auto id = find_user(user);
  ::capng_clear(CAPNG_SELECT_BOTH);
  // Ambient capabilities, too: the queuer is another program, and an exec by anyone but root drops all others.
  const int updated = ::capng_updatev(
      CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT),
      CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, -1);
  const int changed = ::capng_change_id(static_cast<int>(id.user), static_cast<int>(id.group),
                                        static_cast<capng_flags_t>(CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING));
  if (updated != 0 || changed != 0 || ::capng_apply(CAPNG_SELECT_AMBIENT) != 0) {
    throw std::runtime_error{fmt::format("cannot become user '{}' (libcap-ng {}): start as root", user, changed)};
  }
}

} // namespace pepsal
