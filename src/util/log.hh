#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

#include <fmt/core.h>
#include <syslog.h>

// Log lines: to syslog (facility daemon, ident "pepsal[pid]") once the daemon is in the background, to
// stderr in the foreground. Children inherit the open syslog socket. Logging never fails or exits, and waits 20 ms at
// most for a reader that does not read.
namespace pepsal::log {

// Logs to stderr until use_syslog() is called. Debug lines appear when `verbose`.
void configure(bool verbose);
void use_syslog();

// The socket of syslog; -1 without one.
int descriptor();

// Connects to a syslog daemon that has made its socket again since; true if so. For a process whose children cannot
// open it themselves.
bool follow_syslog();

// While it lives, lines that nobody takes in time are counted there: they are lost, as no connection may wait for a
// log. The counter must outlive it. One at a time.
class LossCount
{
public:
  explicit LossCount(std::atomic<std::uint64_t>& counter);
  ~LossCount();
  LossCount(const LossCount&) = delete;
  LossCount& operator=(const LossCount&) = delete;
};

// Writes one line of a syslog(3) priority.
void write(int priority, std::string_view line);
bool is_verbose();

// Formats and writes one line, without the heap, of which a proxy would have to copy pages first (fork(2)).
void write_formatted(int priority, fmt::string_view format, fmt::format_args arguments);

template<typename... Args> void error(fmt::format_string<Args...> format, Args&&... args)
{
  write_formatted(LOG_ERR, format, fmt::make_format_args(args...));
}

template<typename... Args> void warning(fmt::format_string<Args...> format, Args&&... args)
{
  write_formatted(LOG_WARNING, format, fmt::make_format_args(args...));
}

template<typename... Args> void info(fmt::format_string<Args...> format, Args&&... args)
{
  write_formatted(LOG_INFO, format, fmt::make_format_args(args...));
}

template<typename... Args> void debug(fmt::format_string<Args...> format, Args&&... args)
{
  if (is_verbose()) {
    write_formatted(LOG_DEBUG, format, fmt::make_format_args(args...));
  }
}

// Lets a repeated warning through once per interval.
class RateLimit
{
public:
  explicit RateLimit(std::chrono::seconds interval)
      : interval_{interval}
  {}

  // Whether the line may be written now; the interval begins again if so.
  bool allows();

private:
  std::chrono::seconds interval_;
  std::chrono::steady_clock::time_point next_{};
};

} // namespace pepsal::log
