#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace pepsal {

// The secret that both boxes share. Only a digest of the file is kept, of the length that the proofs need.
class PeerKey
{
public:
  static constexpr std::size_t bytes = 32;
  static constexpr std::size_t least_file_bytes = 32;
  static constexpr std::size_t most_file_bytes = 4096;

  // Reads --peer-key, ignoring white space at the end. Throws std::runtime_error with one line if the file cannot be
  // read, is not a regular file, can be read or written by anyone but its owner, is not owned by root or this process's
  // user, or is too short or too long.
  static PeerKey load(const std::string& path);

  static PeerKey from_secret(std::span<const std::byte> secret);

  // The digest in hexadecimal digits, for the program that is executed in place of this one; from_hex() throws
  // std::runtime_error for anything else.
  std::string to_hex() const;
  static PeerKey from_hex(const std::string& digits);

  std::span<const std::byte, bytes> digest() const { return digest_; }

private:
  std::array<std::byte, bytes> digest_{};
};

// The two ends of a warm connection; a proof is valid for one of them only, so that it cannot be reflected to its
// sender.
enum class PeerRole : unsigned char
{
  near = 'n', // dialled
  far = 'f'   // accepted
};

static constexpr std::size_t nonce_bytes = 32;
static constexpr std::size_t proof_bytes = 32;
using Nonce = std::array<std::byte, nonce_bytes>;
using Proof = std::array<std::byte, proof_bytes>;

// From getrandom(2).
Nonce make_nonce();

// Keyed BLAKE2b (libsodium's crypto_generichash) over the role and both nonces.
Proof prove(const PeerKey& key, PeerRole role, const Nonce& near, const Nonce& far);

// In constant time.
bool equal_proofs(const Proof& a, const Proof& b);

} // namespace pepsal
