// A proxy's second thread, for connections that carry bulk both ways. Without one, because the system has no tasks or
// descriptors left, the main thread moves both flows in turn.

#include "proxy/copy_thread.hh"

#include <array>
#include <csignal>
#include <cstddef>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace pepsal {

namespace {

// Room for poll(2), splice(2) and what the C library keeps on a thread's stack.
constexpr std::size_t stack_bytes = 64 * 1024;
constexpr int longest_pause_ms = 500;

void set(const FileDescriptor& event)
{
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event.number(), &one, sizeof one); // cannot fail: the event was unset
}

int create_thread(pthread_t& thread, void* (*body)(void*), void* self)
{
  pthread_attr_t attributes;
  if (const int error = ::pthread_attr_init(&attributes); error != 0) {
    return error;
  }
  ::pthread_attr_setstacksize(&attributes, stack_bytes);
  // Signals are for the main thread, whose accept() they interrupt.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const int error = ::pthread_create(&thread, &attributes, body, self);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
  return error;
}

} // namespace

bool CopyThread::start(Flow& flow)
{
  given_back_ = FileDescriptor{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  recalled_ = FileDescriptor{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!given_back_.is_open() || !recalled_.is_open()) {
    return false;
  }
  flow_ = &flow;
  const auto body = [](void* self) -> void* {
    static_cast<CopyThread*>(self)->run();
    return nullptr;
  };
  if (create_thread(thread_, body, this) != 0) {
    flow_ = nullptr;
  }
  return is_running();
}

void CopyThread::recall()
{
  if (is_running()) {
    set(recalled_);
    ::pthread_join(thread_, nullptr);
    flow_ = nullptr;
    given_back_.close();
    recalled_.close();
  }
}

void CopyThread::run()
{
  while (flow_->advance() == Flow::State::flowing && flow_->is_bulk()) {
    std::array<pollfd, 2> watched{flow_->awaited(), pollfd{.fd = recalled_.number(), .events = POLLIN, .revents = 0}};
    const int ready = ::poll(watched.data(), watched.size(), longest_pause_ms);
    if (ready == 0 || watched[1].revents != 0) {
      break;
    }
  }
  set(given_back_);
}

} // namespace pepsal
