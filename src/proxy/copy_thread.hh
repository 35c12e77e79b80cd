#pragma once

#include <pthread.h>

#include "proxy/flow.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// A proxy's second thread. It moves one flow as long as that is bulk and comes without long pauses, then gives it back
// and ends. While it runs, the flow is its alone.
class CopyThread
{
public:
  CopyThread() = default;
  ~CopyThread() { recall(); }
  CopyThread(const CopyThread&) = delete;
  CopyThread& operator=(const CopyThread&) = delete;

  // Takes the flow over; false when the system gives no thread or descriptor. Only while none is running.
  bool start(Flow& flow);

  bool is_running() const { return flow_ != nullptr; }

  // Readable once the flow is given back.
  int given_back() const { return given_back_.number(); }

  // Takes the flow back and ends the thread.
  void recall();

private:
  void run();

  Flow* flow_{};
  FileDescriptor given_back_;
  FileDescriptor recalled_;
  pthread_t thread_{};
};

} // namespace pepsal
