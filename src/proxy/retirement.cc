// The signals that end a proxy's process. Called by the proxy; throws SystemError only if the kernel refuses.

#include "proxy/retirement.hh"

#include <cerrno>
#include <cstdlib>

#include <unistd.h>

#include "shared/shared_segment.hh"
#include "util/process.hh"

namespace pepsal::retirement {

namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): a signal handler takes no argument.
volatile std::sig_atomic_t retired = 0;
volatile std::sig_atomic_t is_busy = 0;
volatile std::sig_atomic_t listener_descriptor = -1;
volatile std::sig_atomic_t table_descriptor = -1;
volatile std::sig_atomic_t own_number = 0;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void on_retire(int /*signal*/)
{
  retired = 1;
}

void on_manager_death(int /*signal*/)
{
  retired = 1;
  if (is_busy == 0) {
    ::_exit(EXIT_SUCCESS);
  }
  const int error = errno;
  ::close(listener_descriptor);
  SharedSegment::claim_number(table_descriptor, static_cast<Owner>(own_number));
  errno = error;
}

} // namespace

void prepare(const Proxy& proxy)
{
  listener_descriptor = proxy.listener;
  table_descriptor = proxy.table_memory;
  own_number = static_cast<std::sig_atomic_t>(proxy.self);
  handle_signal(SIGTERM, on_retire, false);
  handle_signal(SIGUSR2, on_manager_death, false);
  die_with_parent(proxy.manager, SIGUSR2);
  unblock_signals();
}

const volatile std::sig_atomic_t& requested()
{
  return retired;
}

void set_busy(bool busy)
{
  is_busy = busy ? 1 : 0;
}

void forget_listener()
{
  listener_descriptor = -1;
}

} // namespace pepsal::retirement
