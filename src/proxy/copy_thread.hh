#pragma once

#include <pthread.h>
#include <semaphore.h>

#include "proxy/copy.hh"
#include "proxy/session.hh"

namespace pepsal {

// A proxy's second thread, which copies the way that the main thread does not. It is made when the
// first connection needs it and kept for the next ones.
class CopyThread
{
public:
  CopyThread();
  ~CopyThread();
  CopyThread(const CopyThread&) = delete;
  CopyThread& operator=(const CopyThread&) = delete;

  // Copies one way of `session`, which must live until wait() has returned. False when there is no
  // thread to be had.
  bool start(Session& session, Session::Way way, SplicePipe& pipe);
  void wait();

private:
  bool create();
  void run();

  Session* session_{};
  Session::Way way_{};
  SplicePipe* pipe_{};
  bool created_{};
  pthread_t thread_{};
  sem_t start_{}; // std::binary_semaphore calls sched_yield(2) several times before it sleeps
  sem_t done_{};
};

} // namespace pepsal
