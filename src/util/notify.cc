// Reports the daemon's state to systemd, or whatever has set NOTIFY_SOCKET: one datagram per message. Called by the
// manager. A message that cannot be sent is lost, without further effect.

#include "util/notify.hh"

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <optional>

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/file_descriptor.hh"

namespace pepsal {

namespace {

std::string_view environment(const char* name)
{
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

std::optional<std::int64_t> number_in(std::string_view text)
{
  std::int64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end ? std::optional{value} : std::nullopt;
}

std::int64_t microseconds(std::chrono::steady_clock::duration time)
{
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

} // namespace

ServiceNotifier::ServiceNotifier()
    : socket_{environment("NOTIFY_SOCKET")}
{
  const auto period = number_in(environment("WATCHDOG_USEC"));
  const auto pid = number_in(environment("WATCHDOG_PID"));
  if (!socket_.empty() && period && *period > 0 && pid.value_or(::getpid()) == ::getpid()) {
    half_period_ = std::chrono::microseconds{*period} / 2;
    next_ = Clock::now();
  }
}

void ServiceNotifier::ready(std::string_view status) const
{
  send(fmt::format("READY=1\nSTATUS={}", status));
}

void ServiceNotifier::reloading() const
{
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", microseconds(Clock::now().time_since_epoch())));
}

void ServiceNotifier::draining(std::string_view status, std::chrono::seconds patience) const
{
  constexpr std::chrono::seconds for_the_end{10}; // after the patience: to kill what is left
  send(fmt::format("STATUS={}\nEXTEND_TIMEOUT_USEC={}", status, microseconds(patience + for_the_end)));
}

void ServiceNotifier::stopping() const
{
  send("STOPPING=1");
}

void ServiceNotifier::alive(Clock::time_point now, std::string_view status)
{
  send(fmt::format("WATCHDOG=1\nSTATUS={}", status));
  next_ = now + half_period_;
}

void ServiceNotifier::send(const std::string& text) const
{
  sockaddr_un address{};
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) {
    return;
  }
  address.sun_family = AF_UNIX;
  socket_.copy(address.sun_path, socket_.size());
  if (socket_.front() == '@') {
    address.sun_path[0] = '\0';
  }
  // No descriptor stays open; each proxy would inherit it.
  const FileDescriptor sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const auto length = offsetof(sockaddr_un, sun_path) + socket_.size();
  [[maybe_unused]] const auto sent =
      sender.is_open() ? ::sendto(sender.number(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                  reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length))
                       : -1;
}

bool stderr_is_journal()
{
  struct stat facts
  {};
  return ::fstat(STDERR_FILENO, &facts) == 0 &&
         environment("JOURNAL_STREAM") == fmt::format("{}:{}", facts.st_dev, facts.st_ino);
}

} // namespace pepsal
