#pragma once

#include <string>

#include "util/file_descriptor.hh"

namespace pepsal {

// The pid file: locked (fcntl(2)) while this process lives, and removed with the object. File and folder stay root's,
// so that nobody whom the daemon has become can put another file in their place; a daemon that is not root any more,
// and may not remove the file, empties it.
class PidFile
{
public:
  // Creates the folder too, if it is missing. Throws std::runtime_error naming the pid that holds the file, or the user
  // whose it is, when that is neither root nor this process's; SystemError when the place is none, or a link.
  explicit PidFile(const std::string& path);
  // The one that a program before this one in the same process had made, by its descriptors.
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
