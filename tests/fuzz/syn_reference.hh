#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>

#include "pepsal/connection.hh"

namespace pepsal::test {

// A second SYN parser, written from the RFCs in a different way: it goes through the packet byte by byte and gives up
// where the bytes end. Both must give the same result for a packet.
class ReferenceParser
{
public:
  static std::optional<Connection> parse(std::span<const std::uint8_t> packet)
  {
    try {
      ReferenceParser parser{packet};
      parser.ip();
      return parser.result_;
    } catch (const Refused&) {
      return std::nullopt;
    }
  }

private:
  struct Refused
  {};

  explicit ReferenceParser(std::span<const std::uint8_t> packet)
      : bytes_{packet}
  {}

  static void refuse_if(bool condition)
  {
    if (condition) {
      throw Refused{};
    }
  }

  std::uint8_t u8()
  {
    refuse_if(at_ >= bytes_.size());
    return bytes_[at_++];
  }

  std::uint16_t u16()
  {
    const unsigned high = u8();
    return static_cast<std::uint16_t>(high * 256 + u8());
  }

  void skip(std::size_t count) { at_ += count; }

  // Sets where the packet ends according to itself; what was copied beyond is not part of it.
  void ends_at(std::size_t end)
  {
    end_ = end;
    bytes_ = bytes_.first(std::min(bytes_.size(), end));
  }

  void ip()
  {
    const auto first = u8();
    if (first >> 4 == 4) {
      ipv4(first);
    } else {
      refuse_if(first >> 4 != 6);
      ipv6(first);
    }
  }

  void ipv4(std::uint8_t first)
  {
    const std::size_t header_end = (first % 16U) * 4U;
    result_.syn.traffic_class = u8();
    const auto total = u16();
    u16(); // identification
    const auto flags_and_offset = u16();
    result_.syn.ttl = u8();
    const auto protocol = u8();
    u16(); // checksum
    result_.client = ipv4_address();
    result_.server = ipv4_address();
    const bool fragment = (flags_and_offset & 0x1fff) != 0 || (flags_and_offset & 0x2000) != 0;
    refuse_if(header_end < 20 || total < header_end || fragment || protocol != 6);
    ends_at(total);
    at_ = header_end;
    tcp();
  }

  Endpoint ipv4_address()
  {
    Endpoint result;
    result.address[10] = 0xff;
    result.address[11] = 0xff;
    std::generate_n(result.address.begin() + 12, 4, [this] { return u8(); });
    return result;
  }

  Endpoint ipv6_address()
  {
    Endpoint result;
    std::generate(result.address.begin(), result.address.end(), [this] { return u8(); });
    refuse_if(result.is_ipv4()); // IPv4-mapped addresses do not belong on the wire
    return result;
  }

  void ipv6(std::uint8_t first)
  {
    const auto second = u8();
    result_.syn.traffic_class = static_cast<std::uint8_t>(first % 16U * 16U + second / 16U);
    u16(); // flow label
    const auto payload = u16();
    auto next = u8();
    result_.syn.ttl = u8();
    result_.client = ipv6_address();
    result_.server = ipv6_address();
    ends_at(40U + payload);
    while (next != 6) {
      next = extension(next);
    }
    tcp();
  }

  // Skips an extension header; returns the type of the next.
  std::uint8_t extension(std::uint8_t type)
  {
    const auto start = at_;
    const auto next = u8();
    const auto length = u8();
    const auto third = u8();
    const auto fourth = u8();
    skip(4);
    refuse_if(at_ > bytes_.size());
    switch (type) {
    case 43: // routing: the address is not the destination while segments are left
      refuse_if(fourth != 0);
      [[fallthrough]];
    case 0:
    case 60:
      at_ = start + 8 + length * 8U;
      break;
    case 51:
      at_ = start + 8 + length * 4U;
      break;
    case 44: // 13 bits of offset, two reserved, and "more"
      refuse_if(third != 0 || (fourth & 0xf9U) != 0);
      break;
    default:
      refuse_if(true);
    }
    return next;
  }

  void tcp()
  {
    const auto start = at_;
    result_.client.port = u16();
    result_.server.port = u16();
    result_.syn.initial_sequence = u16() * 65536U;
    result_.syn.initial_sequence += u16();
    skip(4); // acknowledgement number
    const std::size_t header_end = start + u8() / 16U * 4U;
    const auto flags = u8();
    skip(6); // window, checksum, urgent pointer
    const bool opening = (flags & 2U) != 0 && (flags & 1U) == 0 && (flags & 4U) == 0 && (flags & 16U) == 0;
    refuse_if(at_ > bytes_.size() || header_end < at_ || header_end > end_ || header_end > bytes_.size());
    refuse_if(!opening || result_.client.port == 0 || result_.server.port == 0);
    ends_at(header_end);
    try {
      while (at_ < end_ && option()) {
      }
    } catch (const Refused&) {
      // A wrong length ends the options; those before it are kept.
    }
  }

  // Reads one TCP option; false at the end of the options.
  bool option()
  {
    const auto kind = u8();
    if (kind < 2) {
      return kind == 1;
    }
    const auto start = at_ - 1;
    const auto length = u8();
    refuse_if(length < 2 || start + length > end_);
    if (kind == 2 && length == 4) {
      result_.syn.mss = u16();
    } else if (kind == 3 && length == 3) {
      result_.syn.window_scale = std::min<std::uint8_t>(u8(), 14);
    } else if (kind == 4 && length == 2) {
      result_.syn.sack_permitted = true;
    } else if (kind == 8 && length == 10) {
      result_.syn.timestamps = true;
    } else if (kind == 19 || kind == 29) {
      result_.syn.unsplittable = Unsplittable::authentication;
    } else if (kind == 30 && length > 2 && u8() / 16 == 1) {
      result_.syn.unsplittable = Unsplittable::joining;
    }
    at_ = start + length;
    return true;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_{};
  std::size_t end_{};
  Connection result_;
};

} // namespace pepsal::test
