// Descriptors of warm connections in a socket's queue. Given by a keeper, taken by proxies, neither of which waits for
// the other. A message that cannot be read, and a descriptor for which there is no room, are the same as none.

#include "peer/warm_queue.hh"

#include <array>
#include <cstring>

#include <sys/socket.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr int queue_bytes = 1 << 20; // room for a thousand messages, as the kernel counts

// Room for one descriptor's control message, aligned as cmsg(3) wants it.
struct ControlBuffer
{
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> bytes{};
};

msghdr message_of(iovec& part, ControlBuffer& control)
{
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  return message;
}

} // namespace

WarmQueue::WarmQueue()
{
  std::array<int, 2> ends{};
  check("socketpair", ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()));
  giving_end_ = FileDescriptor{ends[0]};
  taking_end_ = FileDescriptor{ends[1]};
  // A smaller one only holds fewer.
  ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &queue_bytes, sizeof queue_bytes);
}

bool WarmQueue::give(const TCPSocket& socket, std::uint64_t serial)
{
  iovec part{.iov_base = &serial, .iov_len = sizeof serial};
  ControlBuffer control;
  auto message = message_of(part, control);
  auto* const head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = socket.number();
  std::memcpy(CMSG_DATA(head), &number, sizeof number);
  return ::sendmsg(giving_end_.number(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof serial;
}

std::optional<WarmQueue::Ticket> WarmQueue::take()
{
  auto ticket = receive();
  if (ticket) {
    notify({.serial = ticket->serial, .lost = false});
  }
  return ticket;
}

void WarmQueue::report_lost(std::uint64_t serial)
{
  notify({.serial = serial, .lost = true});
}

// Should there be no room, the keeper finds out with its next look at the queue.
void WarmQueue::notify(const Notice& notice)
{
  const std::array<std::uint64_t, 2> message{notice.serial, notice.lost ? 1U : 0U};
  [[maybe_unused]] const auto sent =
      ::send(taking_end_.number(), message.data(), sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::vector<WarmQueue::Ticket> WarmQueue::take_back()
{
  std::vector<Ticket> tickets;
  while (auto ticket = receive()) {
    tickets.push_back(std::move(*ticket));
  }
  return tickets;
}

std::optional<WarmQueue::Notice> WarmQueue::next_notice()
{
  std::array<std::uint64_t, 2> message{};
  if (::recv(giving_end_.number(), message.data(), sizeof message, MSG_DONTWAIT) != sizeof message) {
    return std::nullopt;
  }
  return Notice{.serial = message[0], .lost = message[1] != 0};
}

std::optional<WarmQueue::Ticket> WarmQueue::receive()
{
  for (;;) {
    Ticket ticket{};
    iovec part{.iov_base = &ticket.serial, .iov_len = sizeof ticket.serial};
    ControlBuffer control;
    auto message = message_of(part, control);
    const auto bytes = ::recvmsg(taking_end_.number(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (bytes == -1 && errno == EINTR) {
      continue;
    }
    if (bytes <= 0) {
      return std::nullopt;
    }
    const auto* const head = CMSG_FIRSTHDR(&message);
    if (bytes == sizeof ticket.serial && head != nullptr && head->cmsg_level == SOL_SOCKET &&
        head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(int))) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(head), sizeof number);
      ticket.socket = TCPSocket{number};
      return ticket;
    }
  }
}

} // namespace pepsal
