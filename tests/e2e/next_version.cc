// Linked before the library, whose version this takes the place of.

#include "util/version.hh"

namespace pepsal {

const char* version()
{
  return "99.0.0";
}

} // namespace pepsal
