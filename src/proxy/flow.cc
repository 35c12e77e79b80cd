// One direction of a connection. A proxy's main thread moves both; while both carry bulk, a second thread moves one of
// them. Only fcntl(2) on a new pipe can throw.

#include "proxy/flow.hh"

#include <array>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr int pipe_bytes = 1024 * 1024; // the default of fs.pipe-max-size; less is accepted if the kernel insists
constexpr std::size_t small_read_bytes = 4096; // spliced reads below this are not bulk
constexpr int small_reads_to_leave_bulk = 8;   // this many in a row
constexpr int steps_at_once = 16;              // then it is the other direction's turn

bool must_wait(int error)
{
  return error == EAGAIN || error == EINTR;
}

} // namespace

bool SplicePipe::prepare()
{
  if (read_end_.is_open()) {
    return true;
  }
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == -1) {
    return false;
  }
  read_end_ = FileDescriptor{ends[0]};
  write_end_ = FileDescriptor{ends[1]};
  ::fcntl(ends[1], F_SETPIPE_SZ, pipe_bytes); // refused beyond the user's limit; the existing size will do
  const int size = ::fcntl(ends[1], F_GETPIPE_SZ);
  capacity_bytes_ = static_cast<std::size_t>(check("fcntl F_GETPIPE_SZ", size));
  return true;
}

void SplicePipe::close()
{
  read_end_.close();
  write_end_.close();
}

Flow::State Flow::advance()
{
  starved_ = false;
  for (int steps = 0; steps < steps_at_once; ++steps) {
    Step step{};
    if (piped_bytes_ > 0) {
      step = drain_pipe();
    } else if (!held_.empty()) {
      step = write_message();
    } else {
      step = mode_ == Mode::bulk ? fill_pipe() : read_message();
    }
    if (step == Step::wait && (steps > 0 || !starved_ || mode_ == Mode::messages)) {
      break;
    }
    if (step == Step::wait) {
      mode_ = Mode::messages;
    }
  }
  return state_;
}

pollfd Flow::awaited() const
{
  return holds_bytes() ? pollfd{.fd = sink_.number(), .events = POLLOUT, .revents = 0}
                       : pollfd{.fd = source_.number(), .events = POLLIN, .revents = 0};
}

void Flow::rest()
{
  if (!holds_bytes()) {
    mode_ = Mode::messages;
    pipe_.close();
  }
}

Flow::Step Flow::failed(State state)
{
  state_ = state;
  error_ = errno;
  return Step::wait;
}

Flow::Step Flow::read_failed()
{
  starved_ = errno == EAGAIN;
  return must_wait(errno) ? Step::wait : failed(State::source_failed);
}

Flow::Step Flow::read_message()
{
  const auto bytes = ::recv(source_.number(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (bytes == 0) {
    state_ = State::ended;
    return Step::wait;
  }
  if (bytes == -1) {
    return read_failed();
  }
  held_ = buffer_.first(static_cast<std::size_t>(bytes));
  const bool full = held_.size() == buffer_.size();
  if (full && pipe_.prepare()) {
    mode_ = Mode::bulk;
    small_reads_ = 0;
  }
  const auto step = write_message();
  return full ? step : Step::wait; // a message is rarely followed at once by the next
}

Flow::Step Flow::write_message()
{
  const auto sent = ::send(sink_.number(), held_.data(), held_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent == -1) {
    return must_wait(errno) ? Step::wait : failed(State::sink_failed);
  }
  written_.fetch_add(static_cast<std::uint64_t>(sent), std::memory_order_relaxed);
  held_ = held_.subspan(static_cast<std::size_t>(sent));
  return held_.empty() ? Step::again : Step::wait;
}

// A splice(2) of 0 bytes does not prove the end of the stream: it also stops before an urgent byte, so recv(2) decides.
Flow::Step Flow::fill_pipe()
{
  const auto bytes =
      ::splice(source_.number(), nullptr, pipe_.write_end(), nullptr, pipe_.capacity_bytes(), SPLICE_F_NONBLOCK);
  if (bytes == -1) {
    return read_failed();
  }
  if (bytes == 0) {
    mode_ = Mode::messages;
    return Step::again;
  }
  piped_bytes_ = static_cast<std::size_t>(bytes);
  small_reads_ = piped_bytes_ < small_read_bytes ? small_reads_ + 1 : 0;
  if (small_reads_ == small_reads_to_leave_bulk) {
    mode_ = Mode::messages;
  }
  return Step::again;
}

// Never SPLICE_F_MORE: it would delay a message's last piece.
Flow::Step Flow::drain_pipe()
{
  const auto sent =
      ::splice(pipe_.read_end(), nullptr, sink_.number(), nullptr, piped_bytes_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (sent == -1) {
    return must_wait(errno) ? Step::wait : failed(State::sink_failed);
  }
  written_.fetch_add(static_cast<std::uint64_t>(sent), std::memory_order_relaxed);
  piped_bytes_ -= static_cast<std::size_t>(sent);
  return Step::again;
}

} // namespace pepsal
