// Both ends of the control socket. The manager's loop calls serve() when the socket is readable; pepsalctl asks. An
// asker that misbehaves is turned away without affecting anyone else.

#include "control/control_socket.hh"

#include <array>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/command.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

sockaddr_un address_of(const std::string& path)
{
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw SystemError{ENAMETOOLONG, fmt::format("control socket {}", path)};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

FileDescriptor listen_at(const std::string& path)
{
  const auto address = address_of(path);
  FileDescriptor socket{check("socket", ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  std::error_code ignored; // bind will report what is wrong
  std::filesystem::create_directories(std::filesystem::path{path}.parent_path(), ignored);
  ::unlink(path.c_str()); // a running instance would hold the table, so nobody uses this
  const auto mask = ::umask(0177);
  const int bound = ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::umask(mask);
  if (bound == -1) {
    throw SystemError{error, fmt::format("control socket {}", path)};
  }
  constexpr int backlog = 8;
  check("listen", ::listen(socket.number(), backlog));
  return socket;
}

uid_t owner_of(const std::string& path)
{
  struct stat facts
  {};
  check(fmt::format("control socket {}", path), ::lstat(path.c_str(), &facts));
  return facts.st_uid;
}

std::vector<std::string> receive_words(int asker)
{
  const timeval patience{.tv_sec = 0, .tv_usec = 200'000};
  check("setsockopt SO_RCVTIMEO", ::setsockopt(asker, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
  std::array<char, longest_control_message> message{};
  const auto bytes = ::recv(asker, message.data(), message.size(), 0);
  return control_words({message.data(), static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))});
}

} // namespace

std::string control_path(const std::string& instance)
{
  return fmt::format("/run/pepsal/{}.ctl", instance);
}

std::string ask_manager(const std::string& instance, std::string_view command)
{
  const auto path = control_path(instance);
  const auto address = address_of(path);
  const FileDescriptor socket{check("socket", ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0))};
  if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == -1) {
    if (errno == EACCES) {
      throw std::runtime_error{fmt::format("{}: only root and the user who started the daemon may control it", path)};
    }
    throw std::runtime_error{fmt::format("instance '{}' cannot be controlled from here ({}: {})", instance, path,
                                         std::generic_category().message(errno))};
  }
  check(path, ::send(socket.number(), command.data(), command.size(), MSG_NOSIGNAL));
  std::array<char, longest_control_message> answer{};
  const auto bytes = check(path, ::recv(socket.number(), answer.data(), answer.size(), 0));
  return control_answer({answer.data(), static_cast<std::size_t>(bytes)});
}

ControlSocket::Request::Request(FileDescriptor asker, std::vector<std::string> words)
    : asker_{std::move(asker)}
    , words_{std::move(words)}
{}

ControlSocket::Request::~Request()
{
  refuse("not done");
}

void ControlSocket::Request::done(std::string_view text)
{
  answer("ok", text);
}

void ControlSocket::Request::refuse(std::string_view text) noexcept
{
  answer("error", text);
}

void ControlSocket::Request::answer(std::string_view kind, std::string_view text) noexcept
{
  if (!asker_.is_open()) {
    return;
  }
  std::array<char, longest_control_message> message{};
  const auto kind_bytes = kind.copy(message.data(), message.size());
  message.at(kind_bytes) = ' ';
  const auto text_bytes = text.copy(message.data() + kind_bytes + 1, message.size() - kind_bytes - 1);
  [[maybe_unused]] const auto sent =
      ::send(asker_.number(), message.data(), kind_bytes + 1 + text_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
  asker_.close();
}

ControlSocket::ControlSocket(const std::string& instance)
    : path_{control_path(instance)}
    , socket_{listen_at(path_)}
    , owner_{owner_of(path_)}
{}

ControlSocket::ControlSocket(const std::string& instance, FileDescriptor socket)
    : path_{control_path(instance)}
    , socket_{std::move(socket)}
    , owner_{owner_of(path_)}
{}

ControlSocket::~ControlSocket()
{
  if (socket_.is_open()) {
    ::unlink(path_.c_str());
  }
}

void ControlSocket::serve(const std::function<void(Request&)>& handle)
{
  FileDescriptor asker{::accept4(socket_.number(), nullptr, nullptr, SOCK_CLOEXEC)};
  if (!asker.is_open()) {
    return; // gone again
  }
  ucred peer{};
  socklen_t length = sizeof peer;
  check("getsockopt SO_PEERCRED", ::getsockopt(asker.number(), SOL_SOCKET, SO_PEERCRED, &peer, &length));
  if (peer.uid != 0 && peer.uid != owner_) {
    Request{std::move(asker), {}}.refuse("only root and the user who started the daemon may control it");
    return;
  }
  auto words = receive_words(asker.number());
  Request request{std::move(asker), std::move(words)};
  try {
    handle(request);
  } catch (const std::runtime_error& error) {
    request.refuse(error.what());
  }
}

} // namespace pepsal
