#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace pepsal {

// What is told to the service manager that started this process, by the protocol of sd_notify(3). Without one
// (no NOTIFY_SOCKET), or when it does not listen, nothing happens.
class ServiceNotifier
{
public:
  using Clock = std::chrono::steady_clock;

  ServiceNotifier(); // reads NOTIFY_SOCKET, and WATCHDOG_USEC where WATCHDOG_PID means this process

  void ready(std::string_view status) const;
  void reloading() const; // ready() must follow
  // The end begins, which may take `patience`; TimeoutStopSec then counts no more. It may be taken back.
  void draining(std::string_view status, std::chrono::seconds patience) const;
  void stopping() const; // for good

  // Whether the watchdog wants to hear of this process again; alive() tells it, and the next time is half its period
  // later.
  bool is_due(Clock::time_point now) const { return now >= next_; }
  void alive(Clock::time_point now, std::string_view status);
  Clock::time_point next() const { return next_; } // Clock::time_point::max(): never

private:
  void send(const std::string& text) const;

  std::string socket_;            // empty: nobody listens; '@' begins an abstract name
  Clock::duration half_period_{}; // of the watchdog
  Clock::time_point next_{Clock::time_point::max()};
};

// Whether standard error is connected to the journal, as systemd has it for what it starts (JOURNAL_STREAM,
// systemd.exec(5)).
bool stderr_is_journal();

} // namespace pepsal
