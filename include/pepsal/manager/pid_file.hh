#pragma once

#include <string>

struct pidfh;

namespace pepsal {

// The pid file, locked while this process lives and removed with the object.
class PidFile
{
public:
  // Creates the directory too, if it is missing. Throws std::runtime_error naming the pid that holds the
  // file, or SystemError.
  explicit PidFile(const std::string& path);
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

  // In a child: lets go of the lock that fork(2) shared, without removing the file.
  void abandon();

private:
  pidfh* handle_;
};

} // namespace pepsal
