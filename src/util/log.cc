// Where log lines go. Every process of the daemon calls this; the manager chooses the destination
// once, before the first fork. A line that cannot be written is lost, and nothing else happens.

#include "util/log.hh"

#include <cstdio>

#include <unistd.h>

namespace pepsal::log {

namespace {

struct Destination
{
  bool syslog{};
  bool verbose{};
};

Destination& destination()
{
  static Destination instance;
  return instance;
}

} // namespace

void configure(bool verbose)
{
  destination().verbose = verbose;
}

void use_syslog()
{
  openlog("pepsal", LOG_PID | LOG_NDELAY, LOG_DAEMON);
  destination().syslog = true;
}

bool is_verbose()
{
  return destination().verbose;
}

void write(int priority, std::string_view line)
{
  if (destination().syslog) {
    syslog(priority, "%.*s", static_cast<int>(line.size()), line.data());
    return;
  }
  // One write(2) a line, so that lines of different processes do not mix.
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "pepsal[{}]: {}\n", getpid(), line);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

bool RateLimit::allows()
{
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) {
    return false;
  }
  next_ = now + interval_;
  return true;
}

} // namespace pepsal::log
