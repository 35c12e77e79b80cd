#pragma once

#include <string>

#include "util/file_descriptor.hh"

namespace pepsal {

// The pid file: locked (fcntl(2)) while this process lives, and removed with the object. The file and its folder stay
// root's, so that the user the daemon has become cannot replace the file; a daemon that is no longer root, and so may
// not remove the file, empties it.
class PidFile
{
public:
  // Creates the folder if it is missing. Throws std::runtime_error naming the pid that holds the file, or the file's
  // owner if that is neither root nor this process's user; SystemError if the path is unusable or a symbolic link.
  explicit PidFile(const std::string& path);
  // The one created by an earlier program in the same process, by its descriptors.
  PidFile(const std::string& path, FileDescriptor folder, FileDescriptor file);
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

  int folder() const { return folder_.number(); }
  int file() const { return file_.number(); }

private:
  FileDescriptor folder_;
  std::string name_; // in the folder
  FileDescriptor file_;
};

} // namespace pepsal
