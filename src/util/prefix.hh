#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "util/endpoint.hh"

namespace pepsal {

// A range of addresses, such as 10.81.0.0/16 or 2001:db8::/32. Ports do not matter.
struct Prefix
{
  Endpoint first;
  std::uint8_t bits{}; // of an Endpoint's 128: an IPv4 prefix's own plus 96

  bool operator==(const Prefix&) const = default;

  bool contains(const Endpoint& endpoint) const;
  std::string to_string() const; // in the usual notation: "10.81.0.0/16"

  // An address with or without "/LENGTH". Nothing if the text is neither, or has bits set beyond the prefix.
  static std::optional<Prefix> parse(std::string_view text);
};

} // namespace pepsal
