// Messages between processes of one daemon, and descriptors in them. A descriptor that its receiver has no room for is
// the same as none.

#include "util/descriptor_passing.hh"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr int queue_bytes = 1 << 20; // room for a thousand messages, as the kernel counts

// Room for one descriptor's control message, aligned as cmsg(3) requires.
struct ControlBuffer
{
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> bytes{};
};

} // namespace

SocketPair::SocketPair()
{
  std::array<int, 2> ends{};
  check("socketpair", ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()));
  first = FileDescriptor{ends[0]};
  second = FileDescriptor{ends[1]};
  for (const int end : ends) { // a smaller one only holds fewer
    ::setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &queue_bytes, sizeof queue_bytes);
  }
}

bool send_message(int socket, std::span<const std::byte> bytes, int passed)
{
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): sendmsg(2) only reads.
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ControlBuffer control;
  if (passed != -1) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    auto* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &passed, sizeof passed);
  }
  return ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

std::optional<ReceivedMessage> receive_message(int socket, std::span<std::byte> into)
{
  iovec part{.iov_base = into.data(), .iov_len = into.size()};
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  ssize_t bytes = 0;
  do {
    bytes = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (bytes == -1 && errno == EINTR);
  if (bytes == -1) {
    return std::nullopt;
  }
  ReceivedMessage received{.bytes = static_cast<std::size_t>(bytes), .passed = {}};
  const auto* const head = CMSG_FIRSTHDR(&message);
  if (head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
      head->cmsg_len == CMSG_LEN(sizeof(int))) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(head), sizeof number);
    received.passed = FileDescriptor{number};
  }
  return received;
}

} // namespace pepsal
