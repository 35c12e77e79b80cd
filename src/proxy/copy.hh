#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "util/file_descriptor.hh"
#include "util/socket.hh"

namespace pepsal {

// How one direction of a connection ended.
struct CopyEnd
{
  enum class Kind
  {
    finished,      // the source half-closed, and so was the sink after its last byte
    source_failed, // reset or timed out; what was read before went to the sink
    sink_failed,   // reset or timed out
  };

  Kind kind{};
  int error{}; // errno of a failure
};

// A pipe for splice(2), made when the first bulk data comes and kept for the next.
class SplicePipe
{
public:
  // Whether there is a pipe now; false when none can be had, and copying goes through memory.
  bool prepare();

  int read_end() const { return read_end_.number(); }
  int write_end() const { return write_end_.number(); }
  std::size_t capacity_bytes() const { return capacity_bytes_; }

private:
  FileDescriptor read_end_;
  FileDescriptor write_end_;
  std::size_t capacity_bytes_{};
};

// Writes `held`, which was read from `source` before, and all that it reads there up to its end to
// `sink`, then half-closes the sink. Both sockets block. Small messages pass at once; bulk goes by splice(2), without a
// copy to user space. Each written piece is added to `written`. `fin_sent_to_source` is the other direction's flag that
// this side has half-closed the source; `fin_sent_to_sink` is set before this one half-closes the sink.
CopyEnd copy_stream(TCPSocket& source, TCPSocket& sink, std::span<const std::byte> held, SplicePipe& pipe,
                    std::atomic<std::uint64_t>& written, const std::atomic<bool>& fin_sent_to_source,
                    std::atomic<bool>& fin_sent_to_sink);

} // namespace pepsal
