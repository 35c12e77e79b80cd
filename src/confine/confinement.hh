#pragma once

#include <initializer_list>
#include <map>
#include <string>

#include "confine/filter.hh"
#include "confine/role.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// Whether this build installs filters and changes roots. A build with sanitizers does not: their runtimes make system
// calls of their own and write reports to files.
bool confines_fully();

// What processes are confined with, by role. It is prepared by whoever starts them, while it still has the privileges
// to do so; each role then only calls enter(), which cannot be undone.
class Confinement
{
public:
  // For these roles. Prevents this process and everything it starts from gaining privileges by executing a program.
  // What the system lacks is noted in missing(); throws SystemError for lack of memory or descriptors.
  explicit Confinement(std::initializer_list<Role> roles);

  // Confines this process: an empty root for all but the manager, only the capabilities that the role needs, and the
  // role's filter. A proxy later enters the role of a session, whose filter is added to the first and is short, because
  // each connection pays for it (docs/SECURITY.md). Throws SystemError.
  void enter(Role role);

  // Descriptor of the empty root, which a child must keep until it enters its role; -1 without one.
  int descriptor() const { return root_.number(); }

  // What the system lacks, for the log; empty if nothing.
  const std::string& missing() const { return missing_; }

private:
  static void forbid_new_privileges();
  void lacks(const std::string& what);

  FileDescriptor root_;
  std::map<Role, Filter> filters_;
  std::string missing_;
};

} // namespace pepsal
