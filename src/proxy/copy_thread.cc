// The thread beside a proxy's main one. There is none when the system has no more tasks; what goes wrong
// in it ends the connection and with it the process.

#include "proxy/copy_thread.hh"

#include <csignal>
#include <cstddef>
#include <exception>

#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

// Room for the copying's buffer, the closing line and what the C library keeps on a thread's stack.
constexpr std::size_t stack_bytes = 128 * 1024;

void wait_for(sem_t& semaphore)
{
  while (::sem_wait(&semaphore) == -1) { // a signal came
  }
}

// pthread functions return their error.
void check_thread(const char* call, int error)
{
  if (error != 0) {
    throw SystemError{error, call};
  }
}

} // namespace

CopyThread::CopyThread()
{
  check("sem_init", ::sem_init(&start_, 0, 0));
  check("sem_init", ::sem_init(&done_, 0, 0));
}

CopyThread::~CopyThread()
{
  if (created_) {
    session_ = nullptr;
    ::sem_post(&start_);
    ::pthread_join(thread_, nullptr);
  }
}

bool CopyThread::start(Session& session, Session::Way way, SplicePipe& pipe)
{
  session_ = &session;
  way_ = way;
  pipe_ = &pipe;
  if (!created_ && !create()) {
    return false;
  }
  check("sem_post", ::sem_post(&start_));
  return true;
}

void CopyThread::wait()
{
  wait_for(done_);
}

bool CopyThread::create()
{
  pthread_attr_t attributes;
  check_thread("pthread_attr_init", ::pthread_attr_init(&attributes));
  check_thread("pthread_attr_setstacksize", ::pthread_attr_setstacksize(&attributes, stack_bytes));
  // Signals are for the main thread, whose accept() they interrupt.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const int error = ::pthread_create(
      &thread_, &attributes,
      [](void* self) -> void* {
        static_cast<CopyThread*>(self)->run();
        return nullptr;
      },
      this);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
  created_ = error == 0;
  return created_;
}

void CopyThread::run()
{
  for (wait_for(start_); session_ != nullptr; wait_for(start_)) {
    try {
      session_->copy(way_, *pipe_);
    } catch (const std::exception& error) {
      log::error("{}", error.what());
      session_->abort(Counter::connections_reset, "error");
    }
    ::sem_post(&done_);
  }
}

} // namespace pepsal
