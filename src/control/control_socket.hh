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

// Sends a command to the manager of `instance` and waits for its answer. Throws std::runtime_error with the answer if
// it refuses, or with one line that says why it cannot be asked.
std::string ask_manager(const std::string& instance, std::string_view command);

// Where the manager takes commands. The socket belongs to root or to the user who started the daemon, never to --user:
// nobody who has compromised a proxy can command the manager.
class ControlSocket
{
public:
  // One command being handled. The asker gets exactly one answer, at the latest from the destructor; it does not matter
  // if the asker has gone.
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
    // For a program that is executed in place of this one and will answer: Request{FileDescriptor{…}, {}}.
    int asker() const { return asker_.number(); }

  private:
    void answer(std::string_view kind, std::string_view text) noexcept;

    FileDescriptor asker_; // empty once answered
    std::vector<std::string> words_;
  };

  // Creates the folder, and replaces a socket left by an earlier daemon. Throws SystemError.
  explicit ControlSocket(const std::string& instance);
  // One created by an earlier program in the same process.
  ControlSocket(const std::string& instance, FileDescriptor socket);
  ~ControlSocket(); // removes its name if it has the permission
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  int number() const { return socket_.number(); } // readable when somebody asks

  // Takes the next request, if there is one, and passes it to `handle`; an exception from it becomes the refusal. An
  // asker that sends nothing for 200 ms, or is not permitted, is turned away.
  void serve(const std::function<void(Request&)>& handle);

private:
  std::string path_;
  FileDescriptor socket_;
  uid_t owner_; // may send commands, as root may
};

} // namespace pepsal
