#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "peer/peer_key.hh"
#include "pepsal/peer_status.hh"

namespace pepsal {

// The three records that turn a new connection between two boxes into a warm one:
//
//   near → far  Greeting  version, whether there is a key, nonce
//   far → near  Welcome   version, verdict, nonce, with a key the far side's proof
//   near → far  Proof     with a key the near side's proof, else zeros
//
// All of this happens while nobody is waiting for the connection. Once it has sent its Proof, the near box may use it.
static constexpr std::uint8_t peer_protocol_version = 1;

struct Greeting
{
  std::uint8_t version{peer_protocol_version};
  bool keyed{};
  Nonce nonce{};

  bool operator==(const Greeting&) const = default;

  static constexpr std::size_t bytes = 8 + nonce_bytes;

  std::array<std::byte, bytes> encode() const;
  static std::optional<Greeting> parse(std::span<const std::byte, bytes> record);
};

struct Welcome
{
  enum class Verdict : std::uint8_t
  {
    welcome,
    other_version,
    key_required, // the far side has a key and the near side has none
    key_unknown   // the other way round
  };

  std::uint8_t version{peer_protocol_version};
  Verdict verdict{};
  Nonce nonce{};
  Proof proof{};

  bool operator==(const Welcome&) const = default;

  static constexpr std::size_t bytes = 8 + nonce_bytes + proof_bytes;

  std::array<std::byte, bytes> encode() const;
  static std::optional<Welcome> parse(std::span<const std::byte, bytes> record);
};

// The far side's answer to a greeting. `key` is nullptr without --peer-key.
Welcome welcome(const Greeting& greeting, const PeerKey* key);

// Whether a near side that got this welcome proves that it has the key.
bool is_proved(const Greeting& greeting, const Welcome& welcome, const Proof& proof, const PeerKey* key);

// The near side's answer to a welcome: its proof, or why this peer cannot be used.
struct NearAnswer
{
  std::optional<Proof> proof;
  PeerProblem problem{};
};
NearAnswer answer_welcome(const Greeting& greeting, const Welcome& welcome, const PeerKey* key);

} // namespace pepsal
