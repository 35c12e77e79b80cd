// The pid file of libbsd's pidfile(3bsd) as an object. Fails when another process holds the file or its
// place cannot be written.

#include "manager/pid_file.hh"

#include <cerrno>
#include <filesystem>
#include <stdexcept>

#include <bsd/libutil.h>
#include <fmt/format.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal {

PidFile::PidFile(const std::string& path)
    : path_{path}
{
  constexpr mode_t readable_by_all = 0644;
  std::error_code ignored; // the open that follows says what is wrong
  created_directory_ = std::filesystem::create_directories(std::filesystem::path{path}.parent_path(), ignored);
  pid_t holder = 0;
  handle_ = ::pidfile_open(path.c_str(), readable_by_all, &holder);
  if (handle_ == nullptr) {
    if (errno == EEXIST) {
      throw std::runtime_error{fmt::format(
          "pid file {} is held by the running process {}: stop it or choose another --pidfile", path, holder)};
    }
    throw SystemError{errno, fmt::format("pid file {}", path)};
  }
  if (::pidfile_write(handle_) == -1) {
    const int error = errno;
    ::pidfile_remove(handle_);
    throw SystemError{error, fmt::format("pid file {}", path)};
  }
}

PidFile::~PidFile()
{
  if (handle_ != nullptr) {
    ::pidfile_remove(handle_);
  }
}

void PidFile::give_to(uid_t user, gid_t group)
{
  check("chown " + path_, ::chown(path_.c_str(), user, group));
  if (created_directory_) {
    const auto directory = std::filesystem::path{path_}.parent_path();
    check("chown " + directory.string(), ::chown(directory.c_str(), user, group));
  }
}

void PidFile::abandon()
{
  ::pidfile_close(handle_);
  handle_ = nullptr;
}

} // namespace pepsal
