#pragma once

#include "util/file_descriptor.hh"

namespace pepsal {

// A folder without a name, in which nothing can be made. Empty when no place for it can be written to.
FileDescriptor make_empty_root();

// Makes it this process's root and working directory. Throws SystemError.
void enter_empty_root(const FileDescriptor& root);

} // namespace pepsal
