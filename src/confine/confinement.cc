// Confines a process by its role. Called by each role once it has what it needs, and by a proxy again after its dial. A
// kernel without seccomp, or a container in which the root may not be changed, does not prevent a start.

#include "confine/confinement.hh"

#include <sys/prctl.h>

#include "confine/capabilities.hh"
#include "confine/empty_root.hh"
#include "util/system_error.hh"

namespace pepsal {

bool confines_fully()
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return false;
#else
  return true;
#endif
#else
  return true;
#endif
}

Confinement::Confinement(std::initializer_list<Role> roles)
{
  forbid_new_privileges();
  if (!confines_fully()) {
    return;
  }
  for (const auto role : roles) {
    filters_.emplace(role, filter_of(role));
  }
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == -1) {
    filters_.clear();
    lacks("system call filters (the kernel has no seccomp)");
  }
  if (may_change_root()) {
    root_ = make_empty_root();
  }
  if (!root_.is_open()) {
    lacks("empty root directories (CAP_SYS_CHROOT, and a place in /run)");
  }
}

void Confinement::lacks(const std::string& what)
{
  missing_ += (missing_.empty() ? "" : ", ") + what;
}

void Confinement::enter(Role role)
{
  if (role != Role::manager && root_.is_open()) {
    enter_empty_root(root_);
    root_.close();
  }
  keep_capabilities_of(role);
  if (const auto filter = filters_.find(role); filter != filters_.end()) {
    install(filter->second);
  }
}

void Confinement::forbid_new_privileges()
{
  check("prctl PR_SET_NO_NEW_PRIVS", ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

} // namespace pepsal
