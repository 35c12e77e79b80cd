// The pid file as an object. Fails if another process holds the file or the file cannot be written.

#include "manager/pid_file.hh"

#include <array>
#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <string_view>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr auto own_folder = "/run/pepsal"; // created if it does not exist, because /run is empty after each boot

struct flock whole_file()
{
  struct flock result
  {};
  result.l_type = F_WRLCK;
  result.l_whence = SEEK_SET;
  return result;
}

// Tries to lock the file for this process. It is a write lock, which nobody who may only read the file can hold; it
// belongs to the open file description, so that it survives when another program is executed in this process's place.
bool lock(const FileDescriptor& file)
{
  const auto whole = whole_file();
  return ::fcntl(file.number(), F_OFD_SETLK, &whole) == 0;
}

// Whether a process that may write it holds it: another daemon.
bool is_held(const FileDescriptor& file)
{
  auto whole = whole_file();
  check("fcntl F_OFD_GETLK", ::fcntl(file.number(), F_OFD_GETLK, &whole));
  return whole.l_type == F_WRLCK;
}

std::string holder_in(const FileDescriptor& file)
{
  std::array<char, 16> text{};
  const auto bytes = ::pread(file.number(), text.data(), text.size(), 0);
  const std::string_view all{text.data(), static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))};
  return std::string{all.substr(0, all.find_first_not_of("0123456789"))};
}

} // namespace

PidFile::PidFile(const std::string& path)
{
  constexpr mode_t readable_by_all = 0644;
  const auto place = std::filesystem::absolute(path);
  const auto call = fmt::format("pid file {}", path);
  name_ = place.filename();
  std::error_code ignored; // the following open will report what is wrong
  if (std::filesystem::weakly_canonical(place.parent_path(), ignored) == own_folder) {
    std::filesystem::create_directory(own_folder, ignored);
  } else if (!std::filesystem::exists(place.parent_path(), ignored)) {
    throw std::runtime_error{fmt::format("pid file {}: there is no folder {}: make it, or choose another --pidfile",
                                         path, place.parent_path().string())};
  }
  folder_ = FileDescriptor{check(call, ::open(place.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC))};
  const auto open_it = [&](int flags) {
    return FileDescriptor{
        check(call, ::openat(folder_.number(), name_.c_str(),
                             O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | flags, readable_by_all))};
  };
  auto file = open_it(0);
  struct stat facts
  {};
  check(call, ::fstat(file.number(), &facts));
  if (!S_ISREG(facts.st_mode) || (facts.st_uid != 0 && facts.st_uid != ::geteuid())) {
    throw std::runtime_error{
        fmt::format("pid file {} belongs to uid {}, not to the daemon: remove it", path, facts.st_uid)};
  }
  if (!lock(file) && !is_held(file)) { // held by someone who may only read it; a new file in its place will do
    check(call, ::unlinkat(folder_.number(), name_.c_str(), 0));
    file = open_it(O_EXCL);
    lock(file);
  }
  if (is_held(file)) {
    throw std::runtime_error{fmt::format(
        "pid file {} is held by the running process {}: stop it or choose another --pidfile", path, holder_in(file))};
  }
  const auto text = std::to_string(::getpid());
  check(call, ::ftruncate(file.number(), 0));
  check(call, ::pwrite(file.number(), text.data(), text.size(), 0));
  file_ = std::move(file);
}

PidFile::PidFile(const std::string& path, FileDescriptor folder, FileDescriptor file)
    : folder_{std::move(folder)}
    , name_{std::filesystem::path{path}.filename()}
    , file_{std::move(file)}
{
  lock(file_); // an earlier version may have locked it in another way
}

PidFile::~PidFile()
{
  if (file_.is_open() && ::unlinkat(folder_.number(), name_.c_str(), 0) == -1) {
    [[maybe_unused]] const auto emptied = ::ftruncate(file_.number(), 0);
  }
}

} // namespace pepsal
