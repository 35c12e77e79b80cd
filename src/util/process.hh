#pragma once

#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <csignal>
#include <sys/types.h>

#include "util/file_descriptor.hh"

namespace pepsal {

// Forks; the child runs `body`, then calls _exit with its result and never returns here. An exception out of `body` is
// logged as one line and gives exit status 1. Throws SystemError if no process can be started. Only for a
// single-threaded caller.
pid_t fork_process(const std::function<int()>& body);

// Closes every descriptor above stderr that is not in `kept`, which must be in ascending order; numbers up to stderr's,
// such as -1, are ignored. Throws SystemError. For a child: the owners of closed descriptors must not be used or
// destroyed.
void close_all_but(std::span<const int> kept);

// Asks the kernel to send `signal` to this process when its parent dies; exits at once if the parent, with pid
// `parent`, is already dead.
void die_with_parent(pid_t parent, int signal);

// Makes this process and its children wait their turn when woken instead of preempting whoever runs (SCHED_BATCH,
// sched(7)), so many short turns cost fewer context switches. A policy that was set for this process is kept, and so is
// the default one if the system forbids a change.
void run_in_turn();

// Sets the process's title as ps(1) shows it. main must have called prepare_titles() first; a title has the room that
// the arguments and the environment took.
void prepare_titles(int argc, char** argv, char** environment);
void set_title(std::string_view title);

// Signals as a descriptor that becomes readable: blocks them and receives them through signalfd(2).
class SignalDescriptor : public FileDescriptor
{
public:
  explicit SignalDescriptor(std::initializer_list<int> signals);

  // The next pending signal's number, or 0 if there is none.
  int take();
};

// Unblocks every signal, as a child of a process with a SignalDescriptor must.
void unblock_signals();

// The path of the program that this process executed, whatever file is there now.
std::string own_path();

// Installs `handler` for a signal; interrupted system calls are restarted only if `restart`.
void handle_signal(int signal, void (*handler)(int), bool restart);

} // namespace pepsal
