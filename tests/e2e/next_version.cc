// Linked before the library, whose version it replaces.

#include "util/version.hh"

namespace pepsal {

const char* version()
{
  return "99.0.0";
}

} // namespace pepsal
