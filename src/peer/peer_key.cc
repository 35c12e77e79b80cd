// The shared key and proofs with it, using libsodium's primitives. The manager loads the key at its start, which fails
// with one line; keeper and far proxies compute proofs while a connection is idle.

#include "peer/peer_key.hh"

#include <array>
#include <stdexcept>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/file_descriptor.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr std::string_view context = "pepsal warm connection 1";

const unsigned char* raw(std::span<const std::byte> bytes)
{
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* writable(std::span<std::byte> bytes)
{
  return reinterpret_cast<unsigned char*>(bytes.data());
}

// libsodium's calls only fail for lengths out of range, which cannot happen here.
void require(int result, const char* call)
{
  if (result != 0) {
    throw std::logic_error{call};
  }
}

std::string allowed()
{
  return fmt::format("it takes a file of {} to {} bytes, such as 'openssl rand -hex 32' writes",
                     PeerKey::least_file_bytes, PeerKey::most_file_bytes);
}

void check_owner(const std::string& path, const struct stat& file)
{
  constexpr mode_t others = 077;
  if (!S_ISREG(file.st_mode)) {
    throw std::runtime_error{fmt::format("--peer-key: '{}' is not a regular file; {}", path, allowed())};
  }
  if ((file.st_mode & others) != 0 || (file.st_uid != 0 && file.st_uid != ::geteuid())) {
    throw std::runtime_error{
        fmt::format("--peer-key: users other than root may read or change '{}': chown root, chmod 600", path)};
  }
}

bool is_space(std::byte byte)
{
  return byte == std::byte{' '} || byte == std::byte{'\n'} || byte == std::byte{'\r'} || byte == std::byte{'\t'};
}

} // namespace

PeerKey PeerKey::load(const std::string& path)
{
  const FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!file.is_open()) {
    throw std::runtime_error{fmt::format("--peer-key: {}; {}", SystemError{errno, "open " + path}.what(), allowed())};
  }
  struct stat status
  {};
  check("fstat", ::fstat(file.number(), &status));
  check_owner(path, status);
  std::vector<std::byte> secret(most_file_bytes + 1);
  const auto got = ::read(file.number(), secret.data(), secret.size());
  check("read --peer-key", static_cast<int>(got));
  secret.resize(static_cast<std::size_t>(got));
  const bool too_long = secret.size() > most_file_bytes;
  while (!secret.empty() && is_space(secret.back())) {
    secret.pop_back();
  }
  if (too_long || secret.size() < least_file_bytes) {
    throw std::runtime_error{
        fmt::format("--peer-key: '{}' has {} bytes{}; {}", path, secret.size(), too_long ? " or more" : "", allowed())};
  }
  const auto key = from_secret(secret);
  sodium_memzero(secret.data(), secret.size());
  return key;
}

PeerKey PeerKey::from_secret(std::span<const std::byte> secret)
{
  PeerKey key;
  require(crypto_generichash(writable(key.digest_), bytes, raw(secret), secret.size(),
                             reinterpret_cast<const unsigned char*>(context.data()), context.size()),
          "crypto_generichash");
  return key;
}

std::string PeerKey::to_hex() const
{
  std::array<char, 2 * bytes + 1> digits{};
  return sodium_bin2hex(digits.data(), digits.size(), raw(digest_), bytes);
}

PeerKey PeerKey::from_hex(const std::string& digits)
{
  PeerKey key;
  std::size_t got = 0;
  require(sodium_hex2bin(writable(key.digest_), bytes, digits.data(), digits.size(), nullptr, &got, nullptr),
          "sodium_hex2bin");
  require(got == bytes ? 0 : -1, "sodium_hex2bin");
  return key;
}

Nonce make_nonce()
{
  Nonce nonce{};
  randombytes_buf(nonce.data(), nonce.size());
  return nonce;
}

Proof prove(const PeerKey& key, PeerRole role, const Nonce& near, const Nonce& far)
{
  Proof proof{};
  const auto role_byte = static_cast<unsigned char>(role);
  crypto_generichash_state state;
  require(crypto_generichash_init(&state, raw(key.digest()), PeerKey::bytes, proof.size()), "crypto_generichash_init");
  require(crypto_generichash_update(&state, &role_byte, 1), "crypto_generichash_update");
  require(crypto_generichash_update(&state, raw(std::span{near}), near.size()), "crypto_generichash_update");
  require(crypto_generichash_update(&state, raw(std::span{far}), far.size()), "crypto_generichash_update");
  require(crypto_generichash_final(&state, writable(proof), proof.size()), "crypto_generichash_final");
  return proof;
}

bool equal_proofs(const Proof& a, const Proof& b)
{
  return sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

} // namespace pepsal
