#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "util/file_descriptor.hh"

namespace pepsal {

// What the manager passes on when it executes a new program in its place: its children and the descriptors that must
// stay open. The process, its pid, its locks and its children's parent stay the same. It is written as JSON to memory
// (memfd_create(2)), and the new program finds the descriptor of that memory in its environment, so that programs of
// different versions understand each other.
struct Handover
{
  // A child as the old program knew it. The new one ends queuers, dialler and keepers.
  struct Child
  {
    std::string role; // "proxy", "queuer", "keeper", "dialler"
    pid_t pid{};
    std::uint32_t owner{};
    std::uint16_t index{};
    std::int64_t started_ns{}; // CLOCK_BOOTTIME
    bool busy{};
    bool orphan{}; // of a manager that was killed, see Children::adopt_orphan()
  };

  struct Listener
  {
    int descriptor{-1};
    std::string interface;
    bool for_peers{};
  };

  std::string version; // of the old program
  std::string instance;
  std::string pidfile;
  std::string address;
  std::uint16_t port{};
  std::uint16_t peer_port{};
  std::uint32_t layout{}; // of the table
  std::uint32_t room{};   // number of connections that the table was created for
  int table{-1};
  int table_to_read{-1}; // -1 in older versions, which had a different layout
  int pid_folder{-1};
  int pid_file{-1};
  int control{-1};                          // -1: there is none
  int asker{-1};                            // the control socket's client that waits for an answer; -1: nobody
  int queues{-1};                           // the kernel's table of packet queues; -1: none, as in older versions
  std::string peer_key;                     // its digest in hexadecimal digits; empty: none
  std::map<std::string, std::string> rates; // reported by modems, by interface, as DOWN/UP
  std::vector<Listener> listeners;
  std::vector<Child> children;

  // In the new program: what the old one has handed over, if anything. Its descriptors are close-on-exec again. Throws
  // std::runtime_error if it is malformed.
  static std::optional<Handover> receive();

  // In the old program: executes `program` in its place. Returns only by throwing SystemError; nothing has changed
  // then.
  [[noreturn]] void execute(const std::string& program, const std::vector<const char*>& arguments) const;

  // As written and read; for tests too.
  std::string to_text() const;
  static Handover from_text(const std::string& text);

private:
  std::vector<int> descriptors() const;
};

} // namespace pepsal
