// Ranges of addresses, from text. Only parsing can fail here.

#include "util/prefix.hh"

#include <charconv>

#include <fmt/core.h>

namespace pepsal {

namespace {

constexpr unsigned all_bits = 128;
constexpr unsigned ipv4_beginning = 96; // of an IPv4-mapped address

// The bits of byte `index` that are fixed by a prefix of `bits` bits.
std::uint8_t mask_of(std::size_t index, unsigned bits)
{
  const auto before = static_cast<unsigned>(index * 8);
  const auto fixed = bits <= before ? 0U : std::min(bits - before, 8U);
  return static_cast<std::uint8_t>(0xffU << (8U - fixed));
}

} // namespace

bool Prefix::contains(const Endpoint& endpoint) const
{
  for (std::size_t i = 0; i < endpoint.address.size(); ++i) {
    if (((endpoint.address[i] ^ first.address[i]) & mask_of(i, bits)) != 0) {
      return false;
    }
  }
  return true;
}

std::string Prefix::to_string() const
{
  return fmt::format("{}/{}", first.address_string(), first.is_ipv4() ? bits - ipv4_beginning : bits);
}

std::optional<Prefix> Prefix::parse(std::string_view text)
{
  const auto slash = text.find('/');
  const auto address = Endpoint::parse(text.substr(0, slash), 0);
  if (!address) {
    return std::nullopt;
  }
  const auto before = address->is_ipv4() ? ipv4_beginning : 0;
  Prefix prefix{.first = *address, .bits = all_bits};
  if (slash != std::string_view::npos) {
    const auto length = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
    if (error != std::errc{} || end != length.data() + length.size() || bits > all_bits - before) {
      return std::nullopt;
    }
    prefix.bits = static_cast<std::uint8_t>(before + bits);
  }
  for (std::size_t i = 0; i < prefix.first.address.size(); ++i) {
    if ((prefix.first.address[i] & ~mask_of(i, prefix.bits)) != 0) {
      return std::nullopt;
    }
  }
  return prefix;
}

} // namespace pepsal
