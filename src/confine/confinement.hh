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
  // For these roles. What the system lacks for it is noted in missing(); nothing is thrown but for want of memory.
  explicit Confinement(std::initializer_list<Role> roles);

  // Confines this process: no new privileges, no capability that the role does not need, an empty root for all but the
  // manager, the role's filter. The manager has to come first, its children follow. Throws SystemError.
  void enter(Role role);

  // What cannot be had, for the log; empty when nothing lacks.
  const std::string& missing() const { return missing_; }

private:
  void lacks(const std::string& what);

  FileDescriptor root_;
  std::map<Role, Filter> filters_;
  std::string missing_;
};

} // namespace pepsal
