// The records that open a warm connection, and what each side makes of the other's. No sockets here: keeper and far
// proxy carry the bytes. Only parsing and proofs can fail.

#include "peer/handshake.hh"

#include <algorithm>

namespace pepsal {

namespace {

constexpr std::array<std::byte, 4> magic{std::byte{'P'}, std::byte{'E'}, std::byte{'P'}, std::byte{'w'}};
constexpr std::size_t head_bytes = 8; // magic, version, one byte of the record's own, two zero bytes

template<std::size_t Bytes> std::array<std::byte, Bytes> begin_record(std::uint8_t version, std::uint8_t own)
{
  std::array<std::byte, Bytes> record{};
  std::copy(magic.begin(), magic.end(), record.begin());
  record[4] = std::byte{version};
  record[5] = std::byte{own};
  return record;
}

bool has_magic(std::span<const std::byte> record)
{
  return std::equal(magic.begin(), magic.end(), record.begin());
}

} // namespace

std::array<std::byte, Greeting::bytes> Greeting::encode() const
{
  auto record = begin_record<bytes>(version, keyed ? 1 : 0);
  std::copy(nonce.begin(), nonce.end(), record.begin() + head_bytes);
  return record;
}

std::optional<Greeting> Greeting::parse(std::span<const std::byte, bytes> record)
{
  if (!has_magic(record)) {
    return std::nullopt;
  }
  Greeting greeting{.version = std::to_integer<std::uint8_t>(record[4]), .keyed = record[5] != std::byte{0}};
  std::copy_n(record.begin() + head_bytes, nonce_bytes, greeting.nonce.begin());
  return greeting;
}

std::array<std::byte, Welcome::bytes> Welcome::encode() const
{
  auto record = begin_record<bytes>(version, static_cast<std::uint8_t>(verdict));
  auto* const end = std::copy(nonce.begin(), nonce.end(), record.begin() + head_bytes);
  std::copy(proof.begin(), proof.end(), end);
  return record;
}

std::optional<Welcome> Welcome::parse(std::span<const std::byte, bytes> record)
{
  const auto verdict = std::to_integer<std::uint8_t>(record[5]);
  if (!has_magic(record) || verdict > static_cast<std::uint8_t>(Verdict::key_unknown)) {
    return std::nullopt;
  }
  Welcome welcome{.version = std::to_integer<std::uint8_t>(record[4]), .verdict = static_cast<Verdict>(verdict)};
  std::copy_n(record.begin() + head_bytes, nonce_bytes, welcome.nonce.begin());
  std::copy_n(record.begin() + head_bytes + nonce_bytes, proof_bytes, welcome.proof.begin());
  return welcome;
}

Welcome welcome(const Greeting& greeting, const PeerKey* key)
{
  if (greeting.version != peer_protocol_version) {
    return {.verdict = Welcome::Verdict::other_version};
  }
  if (greeting.keyed != (key != nullptr)) {
    return {.verdict = greeting.keyed ? Welcome::Verdict::key_unknown : Welcome::Verdict::key_required};
  }
  Welcome result{.verdict = Welcome::Verdict::welcome, .nonce = make_nonce()};
  if (key != nullptr) {
    result.proof = prove(*key, PeerRole::far, greeting.nonce, result.nonce);
  }
  return result;
}

bool is_proved(const Greeting& greeting, const Welcome& welcome, const Proof& proof, const PeerKey* key)
{
  return welcome.verdict == Welcome::Verdict::welcome &&
         (key == nullptr || equal_proofs(proof, prove(*key, PeerRole::near, greeting.nonce, welcome.nonce)));
}

NearAnswer answer_welcome(const Greeting& greeting, const Welcome& welcome, const PeerKey* key)
{
  switch (welcome.verdict) {
  case Welcome::Verdict::welcome:
    break;
  case Welcome::Verdict::other_version:
    return {.proof = std::nullopt, .problem = PeerProblem::other_version};
  case Welcome::Verdict::key_required:
    return {.proof = std::nullopt, .problem = PeerProblem::key_required};
  case Welcome::Verdict::key_unknown:
    return {.proof = std::nullopt, .problem = PeerProblem::key_unknown};
  }
  if (key == nullptr) {
    return {.proof = Proof{}};
  }
  if (!equal_proofs(welcome.proof, prove(*key, PeerRole::far, greeting.nonce, welcome.nonce))) {
    return {.proof = std::nullopt, .problem = PeerProblem::key_differs};
  }
  return {.proof = prove(*key, PeerRole::near, greeting.nonce, welcome.nonce)};
}

} // namespace pepsal
