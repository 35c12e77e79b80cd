#pragma once

#include "util/file_descriptor.hh"

namespace pepsal {

// A directory without a name, in which nothing can be created. An empty descriptor if no place for it is writable.
FileDescriptor make_empty_root();

// Makes it this process's root and working directory. Throws SystemError.
void enter_empty_root(const FileDescriptor& root);

} // namespace pepsal
