#pragma once

#include <pthread.h>

#include "proxy/flow.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// A proxy's second thread. It moves one flow as long as that is bulk without long pauses, then gives it back and ends.
// While it runs, only it uses the flow.
class CopyThread
{
public:
  CopyThread() = default;
  ~CopyThread() { recall(); }
  CopyThread(const CopyThread&) = delete;
  CopyThread& operator=(const CopyThread&) = delete;

  // Takes over the flow; false if the system has no thread or descriptor to spare. Only while none is running.
  bool start(Flow& flow);

  bool is_running() const { return flow_ != nullptr; }

  // Readable once the flow has been given back.
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
