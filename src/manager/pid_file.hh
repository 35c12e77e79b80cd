#pragma once

#include <string>

#include <sys/types.h>

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

  // Makes `user` the owner of the file, and of the directory if it was created for it, so that the file
  // can be removed after becoming that user.
  void give_to(uid_t user, gid_t group);

  // In a child: lets go of the lock that fork(2) shared, without removing the file.
  void abandon();

private:
  pidfh* handle_{};
  std::string path_;
  bool created_directory_{};
};

} // namespace pepsal
