#pragma once

#include "support/stream.hh"
#include "support/topology.hh"

#include "util/endpoint.hh"
#include "util/file_descriptor.hh"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pepsal::test {

constexpr int small_receive_buffer = 16 * 1024; // bytes, with which a receiver soon stops its sender

// A TCP connection of the test itself. Every call gives up after `patience`, with SystemError EAGAIN, so that a hang of
// the proxy is a failure, not a hang of the test. A reset is SystemError ECONNRESET.
class Connection
{
public:
  explicit Connection(FileDescriptor fd);

  static Connection connect(const Host& from, const Endpoint& to, const std::optional<Endpoint>& source = {});

  int number() const { return fd_.number(); }
  Endpoint local() const;
  Endpoint remote() const;

  void send(std::string_view text) const;
  void send(std::span<const std::byte> bytes) const;
  void send_urgent(char byte) const;
  // Sends `bytes` of a stream, in writes of at most `at_once` bytes.
  void send_stream(std::uint64_t seed, std::size_t bytes, std::size_t at_once = 65536) const;
  void end_sending() const; // half-close

  // Some bytes; empty at the end of the stream.
  std::span<std::byte> receive(std::span<std::byte> buffer) const;
  std::string receive_text(std::size_t exactly) const;
  std::string receive_all() const;
  // Reads to the end and returns how many bytes arrived; throws std::runtime_error if they differ from the stream.
  std::size_t receive_stream(std::uint64_t seed) const;

  // SO_RCVBUF, in bytes; the kernel uses twice as much (socket(7)).
  void set_receive_buffer(int bytes) const;

  // Closes with a reset (SO_LINGER 0).
  void reset();
  void close() { fd_.close(); }

private:
  FileDescriptor fd_;
};

class Listener
{
public:
  Listener(const Host& host, const Endpoint& at, int backlog = 1024);

  Endpoint local() const;
  Connection accept() const;
  std::optional<Connection> try_accept(std::chrono::milliseconds limit) const;

private:
  FileDescriptor fd_;
};

// The result of a call: 0, or the errno of the SystemError it threw.
template<typename Call> int error_of(Call call)
{
  try {
    call();
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

} // namespace pepsal::test
