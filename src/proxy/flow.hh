#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include <poll.h>

#include "util/file_descriptor.hh"
#include "util/socket.hh"

namespace pepsal {

// A pipe for splice(2).
class SplicePipe
{
public:
  // Makes sure that there is a pipe; false if the system has none to spare, and copying goes through memory.
  bool prepare();
  void close();

  int read_end() const { return read_end_.number(); }
  int write_end() const { return write_end_.number(); }
  std::size_t capacity_bytes() const { return capacity_bytes_; }

private:
  FileDescriptor read_end_;
  FileDescriptor write_end_;
  std::size_t capacity_bytes_{};
};

// Carries one direction of a connection: reads one socket and writes everything to the other; neither blocks. Messages
// go straight through a buffer; bulk data go by splice(2), without a copy to user space. A full sink stops the reading,
// which is all the flow control there is. A flow only reports its own end; what that means is decided by the session.
class Flow
{
public:
  enum class State
  {
    flowing,
    ended,         // everything from the source has been written
    source_failed, // the same, and then the source has failed
    sink_failed    // the sink has failed; what it did not take is lost
  };

  // Most that is read of a message at once.
  static constexpr std::size_t buffer_bytes = 16384;

  // The sockets, the counter of written bytes and the buffer must outlive the flow.
  Flow(const TCPSocket& source, const TCPSocket& sink, std::atomic<std::uint64_t>& written,
       std::span<std::byte, buffer_bytes> buffer)
      : source_{source}
      , sink_{sink}
      , written_{written}
      , buffer_{buffer}
  {}

  // Moves what can be moved without waiting, up to a bounded amount. Not to be called once it has ended or failed.
  State advance();

  State state() const { return state_; }
  int error() const { return error_; } // errno of the failure

  // What it is waiting for: the source to be readable, or the sink to be writable.
  pollfd awaited() const;

  // Whether it has written everything that the source had when it was last read.
  bool is_starved() const { return starved_; }

  // Whether so much arrives at once that a thread of its own is worthwhile.
  bool is_bulk() const { return mode_ == Mode::bulk; }

  // Nothing has arrived for a while: frees what bulk transfer needs, if it is empty.
  void rest();

private:
  enum class Mode
  {
    messages,
    bulk
  };

  // Whether it can continue at once.
  enum class Step
  {
    again,
    wait
  };

  bool holds_bytes() const { return !held_.empty() || piped_bytes_ > 0; }
  Step read_message();
  Step write_message();
  Step fill_pipe();
  Step drain_pipe();
  Step read_failed();
  Step failed(State state);

  const TCPSocket& source_;
  const TCPSocket& sink_;
  std::atomic<std::uint64_t>& written_;
  State state_{State::flowing};
  int error_{};
  Mode mode_{Mode::messages};
  bool starved_{};
  int small_reads_{}; // in a row, in bulk
  SplicePipe pipe_;
  std::size_t piped_bytes_{};       // in the pipe
  std::span<const std::byte> held_; // part of the buffer that has been read but not written yet
  std::span<std::byte, buffer_bytes> buffer_;
};

} // namespace pepsal
