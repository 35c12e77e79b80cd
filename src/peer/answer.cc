// The record with which the far box tells the near one how its dial ended. Written by the far proxy once per
// connection, read by the near one. Only parsing can fail here.

#include "peer/answer.hh"

namespace pepsal {

namespace {

constexpr std::byte mark{0xa5}; // distinguishes a record from other bytes

} // namespace

std::array<std::byte, PeerAnswer::bytes> PeerAnswer::encode() const
{
  return {mark, static_cast<std::byte>(kind), static_cast<std::byte>(error >> 8U),
          static_cast<std::byte>(error & 0xffU)};
}

std::optional<PeerAnswer> PeerAnswer::parse(std::span<const std::byte, bytes> record)
{
  const auto kind = std::to_integer<std::uint8_t>(record[1]);
  if (record[0] != mark || kind > static_cast<std::uint8_t>(Kind::retired)) {
    return std::nullopt;
  }
  const auto error = (std::to_integer<unsigned>(record[2]) << 8U) | std::to_integer<unsigned>(record[3]);
  return PeerAnswer{.kind = static_cast<Kind>(kind), .error = static_cast<std::uint16_t>(error)};
}

} // namespace pepsal
