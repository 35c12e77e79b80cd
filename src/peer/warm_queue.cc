// Descriptors of warm connections in a socket's queue. A keeper puts them in, proxies take them out, and neither waits
// for the other. A message that cannot be read, or a descriptor for which there is no room, counts as none.

#include "peer/warm_queue.hh"

#include <array>

#include <sys/socket.h>

#include "util/descriptor_passing.hh"

namespace pepsal {

WarmQueue::WarmQueue()
{
  SocketPair pair;
  giving_end_ = std::move(pair.first);
  taking_end_ = std::move(pair.second);
}

bool WarmQueue::give(const TCPSocket& socket, std::uint64_t serial)
{
  return send_object(giving_end_.number(), serial, socket.number());
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

// If there is no room, the keeper finds out when it next checks the queue.
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
    auto message = receive_message(taking_end_.number(), std::as_writable_bytes(std::span{&ticket.serial, 1}));
    if (!message || message->bytes == 0) {
      return std::nullopt;
    }
    if (message->bytes == sizeof ticket.serial && message->passed.is_open()) {
      ticket.socket = TCPSocket{message->passed.release()};
      return ticket;
    }
  }
}

} // namespace pepsal
