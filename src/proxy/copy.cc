// One direction of a connection. A proxy runs two of these, each in its thread. They end when the
// source does or when either socket fails; a full sink stops the reading, which is all the flow
// control there is.

#include "proxy/copy.hh"

#include <array>
#include <optional>
#include <span>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr std::size_t buffer_bytes = 16 * 1024;
constexpr int pipe_bytes = 1024 * 1024;      // fs.pipe-max-size by default; less is taken where the kernel says so
constexpr ssize_t small_read_bytes = 4096;   // spliced reads below this are not bulk
constexpr int small_reads_to_leave_bulk = 8; // so many in a row

class Copier
{
public:
  Copier(TCPSocket& source, TCPSocket& sink, SplicePipe& pipe, std::atomic<std::uint64_t>& written)
      : source_{source}
      , sink_{sink}
      , pipe_{pipe}
      , written_{written}
  {}

  CopyEnd run(std::span<const std::byte> held)
  {
    if (const int error = send_all(held); error != 0) {
      return {.kind = Kind::sink_failed, .error = error};
    }
    std::optional<CopyEnd> end;
    while (!end) {
      end = copy_messages();
      if (!end) {
        end = splice_bulk();
      }
    }
    return *end;
  }

private:
  using Kind = CopyEnd::Kind;

  // Copies through memory until the source ends, or a full buffer shows that there is bulk.
  std::optional<CopyEnd> copy_messages()
  {
    std::array<std::byte, buffer_bytes> buffer;
    for (;;) {
      const auto bytes = ::recv(source_.number(), buffer.data(), buffer.size(), 0);
      if (bytes == 0) {
        return CopyEnd{.kind = Kind::finished};
      }
      if (bytes == -1) {
        if (errno == EINTR) {
          continue;
        }
        return CopyEnd{.kind = Kind::source_failed, .error = errno};
      }
      if (const int error = send_all({buffer.data(), static_cast<std::size_t>(bytes)}); error != 0) {
        return CopyEnd{.kind = Kind::sink_failed, .error = error};
      }
      if (bytes == static_cast<ssize_t>(buffer.size()) && pipe_.prepare()) {
        return std::nullopt;
      }
    }
  }

  // 0, or the errno that ended the sink.
  int send_all(std::span<const std::byte> bytes)
  {
    while (!bytes.empty()) {
      const auto sent = ::send(sink_.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent == -1) {
        if (errno == EINTR) {
          continue;
        }
        return errno;
      }
      written_.fetch_add(static_cast<std::uint64_t>(sent), std::memory_order_relaxed);
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return 0;
  }

  // Splices until reads become small again or something ends. A splice(2) of 0 bytes is no proof of the
  // end: it also stops in front of an urgent byte, so recv(2) has the last word.
  std::optional<CopyEnd> splice_bulk()
  {
    for (int small_reads = 0; small_reads < small_reads_to_leave_bulk;) {
      const auto bytes =
          ::splice(source_.number(), nullptr, pipe_.write_end(), nullptr, pipe_.capacity_bytes(), SPLICE_F_MOVE);
      if (bytes == 0) {
        return std::nullopt;
      }
      if (bytes == -1) {
        if (errno == EINTR) {
          continue;
        }
        return CopyEnd{.kind = Kind::source_failed, .error = errno};
      }
      if (const int error = drain_pipe(bytes); error != 0) {
        return CopyEnd{.kind = Kind::sink_failed, .error = error};
      }
      small_reads = bytes < small_read_bytes ? small_reads + 1 : 0;
    }
    return std::nullopt;
  }

  // 0, or the errno that ended the sink. Never SPLICE_F_MORE: it would hold back a message's last piece.
  int drain_pipe(ssize_t bytes)
  {
    while (bytes > 0) {
      const auto sent =
          ::splice(pipe_.read_end(), nullptr, sink_.number(), nullptr, static_cast<std::size_t>(bytes), SPLICE_F_MOVE);
      if (sent == -1) {
        if (errno == EINTR) {
          continue;
        }
        return errno;
      }
      written_.fetch_add(static_cast<std::uint64_t>(sent), std::memory_order_relaxed);
      bytes -= sent;
    }
    return 0;
  }

  TCPSocket& source_;
  TCPSocket& sink_;
  SplicePipe& pipe_;
  std::atomic<std::uint64_t>& written_;
};

// A socket whose error the other thread has taken reads like one that ended well. Reset or timed out,
// it is in state CLOSE without this side having sent a FIN, which no clean end is.
bool was_reset(const TCPSocket& source)
{
  tcp_info info{};
  socklen_t length = sizeof info;
  return ::getsockopt(source.number(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == TCP_CLOSE;
}

} // namespace

bool SplicePipe::prepare()
{
  if (read_end_.is_open()) {
    return true;
  }
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) {
    return false;
  }
  read_end_ = FileDescriptor{ends[0]};
  write_end_ = FileDescriptor{ends[1]};
  ::fcntl(ends[1], F_SETPIPE_SZ, pipe_bytes); // refused past the user's limit; the size there is will do
  const int size = ::fcntl(ends[1], F_GETPIPE_SZ);
  capacity_bytes_ = static_cast<std::size_t>(check("fcntl F_GETPIPE_SZ", size));
  return true;
}

CopyEnd copy_stream(TCPSocket& source, TCPSocket& sink, std::span<const std::byte> held, SplicePipe& pipe,
                    std::atomic<std::uint64_t>& written, const std::atomic<bool>& fin_sent_to_source,
                    std::atomic<bool>& fin_sent_to_sink)
{
  const auto end = Copier{source, sink, pipe, written}.run(held);
  if (end.kind != CopyEnd::Kind::finished) {
    return end;
  }
  if (!fin_sent_to_source && was_reset(source) && !fin_sent_to_source) {
    return {.kind = CopyEnd::Kind::source_failed, .error = ECONNRESET};
  }
  fin_sent_to_sink = true;
  if (::shutdown(sink.number(), SHUT_WR) == -1) {
    return {.kind = CopyEnd::Kind::sink_failed, .error = errno};
  }
  return end;
}

} // namespace pepsal
