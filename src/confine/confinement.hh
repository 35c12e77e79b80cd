#pragma once

#include <initializer_list>
#include <map>
#include <string>

#include "confine/filter.hh"
#include "confine/role.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// Whether this build installs filters and changes roots. One with sanitizers does not: what they ask of the kernel is
// theirs to change, and they report into files.
bool confines_fully();

// What processes are confined with, each by its role: made by whoever starts them, while it has the rights for it; the
// roles' one line is enter(). It goes one way only.
class Confinement
{
public:
  // For these roles. Takes the right to gain privileges by executing a program from this process and all that it
  // starts. What the system lacks is noted in missing(); throws SystemError for lack of memory or descriptors.
  explicit Confinement(std::initializer_list<Role> roles);

  // Confines this process: an empty root for all but the manager, no capability that the role does not need, the role's
  // filter. A proxy goes on as a session, whose filter comes in addition and is short, as each connection pays for it
  // (docs/SECURITY.md). Throws SystemError.
  void enter(Role role);

  // Of the empty root, which a child must keep until it enters its role; -1 without one.
  int descriptor() const { return root_.number(); }

  // What the system lacks, for the log; empty when it lacks nothing.
  const std::string& missing() const { return missing_; }

private:
  static void forbid_new_privileges();
  void lacks(const std::string& what);

  FileDescriptor root_;
  std::map<Role, Filter> filters_;
  std::string missing_;
};

} // namespace pepsal
