// Messages between queuers, the dialler and proxies. What cannot be read counts as nothing.

#include "dial/channel.hh"

#include <poll.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

// If no descriptor is available, nothing is asked: the proxy dials, which waits for one.
std::optional<SocketPair> pair_for_reply()
{
  try {
    return SocketPair{};
  } catch (const SystemError&) {
    return std::nullopt;
  }
}

} // namespace

std::optional<DialRequest> receive_request(int dialler_end)
{
  DialRequest request{};
  const auto received = receive_message(dialler_end, std::as_writable_bytes(std::span{&request, 1}));
  return received && received->bytes == sizeof request ? std::optional{request} : std::nullopt;
}

std::optional<ReceivedAnswer> receive_answer(int queuer_end)
{
  ReceivedAnswer result{};
  const auto received = receive_message(queuer_end, std::as_writable_bytes(std::span{&result.answer, 1}));
  if (!received || (received->bytes != 0 && received->bytes != sizeof result.answer)) {
    return std::nullopt;
  }
  result.closed = received->bytes == 0;
  return result;
}

LegHandover::LegHandover()
{
  SocketPair pair;
  asking_end_ = std::move(pair.first);
  dialler_end_ = std::move(pair.second);
}

std::optional<TCPSocket> LegHandover::take(const Ends& ends) const
{
  constexpr int patience_ms = 100;
  auto made = pair_for_reply();
  if (!made) {
    return std::nullopt;
  }
  auto& reply = *made;
  if (!send_object(asking_end(), ends, reply.second.number())) {
    return std::nullopt;
  }
  reply.second.close(); // so that, once the dialler has this request, its death is noticed
  pollfd readable{.fd = reply.first.number(), .events = POLLIN, .revents = 0};
  if (::poll(&readable, 1, patience_ms) <= 0) {
    return std::nullopt;
  }
  std::byte found{};
  auto received = receive_message(reply.first.number(), {&found, 1});
  if (!received || !received->passed.is_open()) {
    return std::nullopt;
  }
  TCPSocket leg{received->passed.release()};
  return leg.remote_endpoint() == ends.server ? std::optional{std::move(leg)} : std::nullopt;
}

std::optional<LegHandover::Demand> LegHandover::next() const
{
  for (;;) {
    Ends ends{};
    auto received = receive_message(dialler_end(), std::as_writable_bytes(std::span{&ends, 1}));
    if (!received || received->bytes == 0) {
      return std::nullopt;
    }
    if (received->bytes == sizeof ends && received->passed.is_open()) {
      return Demand{.ends = ends, .reply = std::move(received->passed)};
    }
  }
}

void LegHandover::give(const Demand& demand, int leg)
{
  send_object(demand.reply.number(), std::byte{leg != -1}, leg);
}

} // namespace pepsal
