#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace pepsal {

// Reports to the service manager that started this process, by the protocol of sd_notify(3). Without one (no
// NOTIFY_SOCKET), or if it does not listen, nothing happens.
class ServiceNotifier
{
public:
  using Clock = std::chrono::steady_clock;

  ServiceNotifier(); // reads NOTIFY_SOCKET, and WATCHDOG_USEC if WATCHDOG_PID is this process

  void ready(std::string_view status) const;
  void reloading() const; // ready() must follow
  // Stopping begins, which may take `patience`; TimeoutStopSec no longer applies then. It may be cancelled.
  void draining(std::string_view status, std::chrono::seconds patience) const;
  void stopping() const; // for good

  // Whether the watchdog is due to be notified again; alive() does so, and the next time is half its period later.
  bool is_due(Clock::time_point now) const { return now >= next_; }
  void alive(Clock::time_point now, std::string_view status);
  Clock::time_point next() const { return next_; } // Clock::time_point::max(): never

private:
  void send(const std::string& text) const;

  std::string socket_;            // empty: nobody listens; '@' begins an abstract name
  Clock::duration half_period_{}; // of the watchdog
  Clock::time_point next_{Clock::time_point::max()};
};

// Whether standard error is connected to the journal, as systemd does for the services it starts (JOURNAL_STREAM,
// systemd.exec(5)).
bool stderr_is_journal();

} // namespace pepsal
