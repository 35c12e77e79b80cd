#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "util/file_descriptor.hh"

namespace pepsal {

// A pair of UNIX sockets that preserve message boundaries (SOCK_SEQPACKET, unix(7)) and never block, with room for some
// thousand short messages in each direction if the kernel allows it.
struct SocketPair
{
  FileDescriptor first;
  FileDescriptor second;

  SocketPair(); // throws SystemError
};

// Sends one message without waiting, with a copy of the descriptor `passed` unless it is -1 (SCM_RIGHTS). False if
// there is no room or no reader.
bool send_message(int socket, std::span<const std::byte> bytes, int passed = -1);

struct ReceivedMessage
{
  std::size_t bytes;     // 0: the other end is closed
  FileDescriptor passed; // empty if there was none
};

// The next message, without waiting; nothing if there is none.
std::optional<ReceivedMessage> receive_message(int socket, std::span<std::byte> into);

// The same for an object of a trivially copyable type.
template<typename Message> bool send_object(int socket, const Message& message, int passed = -1)
{
  return send_message(socket, std::as_bytes(std::span{&message, 1}), passed);
}

} // namespace pepsal
