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

// Forks; the child runs `body` and leaves by _exit with its result, never returning here. An exception
// out of `body` is logged as the one line of that process's failure and gives exit status 1. Throws
// SystemError when there is no process available. Only for a single-threaded caller.
pid_t fork_process(const std::function<int()>& body);

// Closes every descriptor above stderr that is not in `kept`, which is in ascending order; numbers below stderr's, such
// as -1, are ignored. Throws SystemError. For a child: the owners of what is closed must not be used or destroyed.
void close_all_but(std::span<const int> kept);

// Asks the kernel to send `signal` to this process when its parent dies; exits at once if the parent,
// `parent`, is dead already.
void die_with_parent(pid_t parent, int signal);

// Lets this process and its children wait their turn when they are woken, instead of interrupting whoever runs
// (SCHED_BATCH, sched(7)). Many short turns then cost fewer switches between processes. A policy that was chosen for
// this process stays, and so does the usual one where the system forbids a change.
void run_in_turn();

// A process's title as ps(1) shows it. prepare_titles() must have been called by main first; the room
// for a title is what the arguments and the environment took.
void prepare_titles(int argc, char** argv, char** environment);
void set_title(std::string_view title);

// Signals as a descriptor that becomes readable: blocks them and catches them by signalfd(2).
class SignalDescriptor : public FileDescriptor
{
public:
  explicit SignalDescriptor(std::initializer_list<int> signals);

  // The next pending signal's number, or 0 if there is none.
  int take();
};

// Unblocks every signal, as a child of a process with a SignalDescriptor must.
void unblock_signals();

// The path of the program that this process has executed; whatever stands there now.
std::string own_path();

// Installs `handler` for a signal; system calls it interrupts are restarted only if `restart`.
void handle_signal(int signal, void (*handler)(int), bool restart);

} // namespace pepsal
