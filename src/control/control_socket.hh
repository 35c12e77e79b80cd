#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "util/file_descriptor.hh"

namespace pepsal {

// Commands to a running manager: words in one message of a UNIX socket (SOCK_SEQPACKET, unix(7)), answered by one
// message, "ok" or "error" and a line of text.

static constexpr std::size_t longest_control_message = 4096; // bytes

// /run/pepsal/INSTANCE.ctl
std::string control_path(const std::string& instance);

// Asks the manager of `instance` and waits for what it answers. Throws std::runtime_error with that, when it refuses,
// or with one line that says why it cannot be asked.
std::string ask_manager(const std::string& instance, std::string_view command);

// Where the manager takes commands. The socket is root's, or his who started the daemon, never --user's: nobody who
// has taken over a proxy commands the manager.
class ControlSocket
{
public:
  // One command in hand. Whoever asked is answered once, at the latest by the destructor; one who has gone is not
  // missed.
  class Request
  {
  public:
    Request(FileDescriptor asker, std::vector<std::string> words);
    ~Request();
    Request(Request&&) = default;
    Request& operator=(Request&&) = delete;
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    std::span<const std::string> words() const { return words_; }
    void done(std::string_view text);
    void refuse(std::string_view text) noexcept;
    // For a program that is executed in this one's place and will answer: Request{FileDescriptor{…}, {}}.
    int asker() const { return asker_.number(); }

  private:
    void answer(std::string_view kind, std::string_view text) noexcept;

    FileDescriptor asker_; // empty once answered
    std::vector<std::string> words_;
  };

  // Makes the folder, and takes the place of a socket that a daemon before this one has left. Throws SystemError.
  explicit ControlSocket(const std::string& instance);
  // One that a program before this one in the same process had made.
  ControlSocket(const std::string& instance, FileDescriptor socket);
  ~ControlSocket(); // removes its name, where it may
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  int number() const { return socket_.number(); } // readable when somebody asks

  // Takes the next request, if there is one, and gives it to `handle`; what that throws is the refusal. One that says
  // nothing for 200 ms, or may not ask, is turned away.
  void serve(const std::function<void(Request&)>& handle);

private:
  std::string path_;
  FileDescriptor socket_;
  uid_t owner_; // may ask, and so may root
};

} // namespace pepsal
