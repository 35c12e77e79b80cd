// Where log lines go. Every process of the daemon calls this; the manager chooses the destination
// once, before the first fork. A line that cannot be written is lost, and nothing else happens.

#include "util/log.hh"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iterator>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/file_descriptor.hh"

namespace pepsal::log {

namespace {

struct Destination
{
  bool syslog{};
  bool verbose{};
  FileDescriptor socket; // to the syslog daemon; empty while there is none
  ino_t inode{};         // of its place in the file system
  bool stuck{};          // it did not take a line in time
  std::atomic<std::uint64_t>* losses{};
};

Destination& destination()
{
  static Destination instance;
  return instance;
}

// 0 when there is none.
ino_t inode_of_syslog()
{
  struct stat place
  {};
  return ::stat(_PATH_LOG, &place) == 0 ? place.st_ino : 0;
}

// syslog(3) waits for a daemon that does not read; so the datagram is sent from here.
void connect_to_syslog()
{
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, _PATH_LOG, sizeof address.sun_path - 1);
  FileDescriptor socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  destination().inode = inode_of_syslog();
  const bool connected =
      socket.is_open() && ::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  destination().socket = connected ? std::move(socket) : FileDescriptor{};
}

bool send_to_syslog(std::string_view line)
{
  return destination().socket.is_open() &&
         ::send(destination().socket.number(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) != -1;
}

// The kernel keeps ten lines for a daemon (net.unix.max_dgram_qlen), which a burst fills while that only waits for its
// turn: it is given some milliseconds, and none again before it has read.
bool wait_for_room()
{
  constexpr int patience_ms = 20;
  pollfd writable{.fd = destination().socket.number(), .events = POLLOUT, .revents = 0};
  destination().stuck = ::poll(&writable, 1, destination().stuck ? 0 : patience_ms) == 0;
  return !destination().stuck;
}

// RFC 3164 section 4.1, as syslog(3) writes it to its local socket.
bool write_to_syslog(int priority, std::string_view line)
{
  const auto now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 32> time{};
  const auto length = std::strftime(time.data(), time.size(), "%b %e %T", &local);
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "<{}>{} pepsal[{}]: {}", LOG_DAEMON | priority,
                 std::string_view{time.data(), length}, ::getpid(), line);
  const std::string_view datagram{text.data(), text.size()};
  if (send_to_syslog(datagram)) {
    return true;
  }
  if (errno == EAGAIN || errno == ENOBUFS) {
    return wait_for_room() && send_to_syslog(datagram);
  }
  connect_to_syslog(); // the daemon has begun again, or comes only now
  return send_to_syslog(datagram);
}

// One write(2) a line, so that lines of different processes do not mix. A pipe that is writable takes a page.
bool write_to_stderr(std::string_view line)
{
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "pepsal[{}]: {}\n", ::getpid(), line);
  pollfd writable{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&writable, 1, 0) == 1 && ::write(STDERR_FILENO, text.data(), text.size()) != -1;
}

} // namespace

void configure(bool verbose)
{
  destination().verbose = verbose;
}

void use_syslog()
{
  destination().syslog = true;
  ::tzset(); // reads a file, which a confined process may not
  connect_to_syslog();
}

int descriptor()
{
  return destination().socket.number();
}

bool follow_syslog()
{
  if (!destination().syslog) {
    return false;
  }
  const auto inode = inode_of_syslog();
  if (inode == 0 || inode == destination().inode) {
    return false;
  }
  connect_to_syslog();
  return true;
}

LossCount::LossCount(std::atomic<std::uint64_t>& counter)
{
  destination().losses = &counter;
}

LossCount::~LossCount()
{
  destination().losses = nullptr;
}

bool is_verbose()
{
  return destination().verbose;
}

void write(int priority, std::string_view line)
{
  const bool written = destination().syslog ? write_to_syslog(priority, line) : write_to_stderr(line);
  if (!written && destination().losses != nullptr) {
    destination().losses->fetch_add(1, std::memory_order_relaxed);
  }
}

void write_formatted(int priority, fmt::string_view format, fmt::format_args arguments)
{
  fmt::memory_buffer line;
  fmt::vformat_to(std::back_inserter(line), format, arguments);
  write(priority, {line.data(), line.size()});
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
