#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace pepsal {

// What the far box reports about its dial, in front of the server's first bytes on a warm connection. It costs no round
// trip: the near box reads it before it copies downstream.
struct PeerAnswer
{
  enum class Kind : std::uint8_t
  {
    connected,   // the server's bytes follow
    dial_failed, // `error` says why; nothing follows
    refused,     // the far box dials no server for this peer; the near box may dial itself, as any other host could
    retired      // the header was not read and will not be: the near box may dial itself
  };

  Kind kind{};
  std::uint16_t error{}; // Linux errno of a failed dial

  bool operator==(const PeerAnswer&) const = default;

  static constexpr std::size_t bytes = 4;

  std::array<std::byte, bytes> encode() const;
  static std::optional<PeerAnswer> parse(std::span<const std::byte, bytes> record);
};

} // namespace pepsal
