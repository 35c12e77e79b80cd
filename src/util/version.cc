// The version, from CMakeLists.txt. Cannot fail.

#include "util/version.hh"

namespace pepsal {

const char* version()
{
  return PEPSAL_VERSION;
}

} // namespace pepsal
