#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace pepsal::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes operator+(Bytes left, const Bytes& right)
{
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline void put_u16(Bytes& bytes, std::size_t offset, std::size_t value)
{
  bytes.at(offset) = static_cast<std::uint8_t>(value >> 8);
  bytes.at(offset + 1) = static_cast<std::uint8_t>(value);
}

// Packets byte by byte, valid unless told otherwise. Checksums are left 0: the parser does not check them.
struct Packet
{
  static constexpr std::uint8_t fin = 1;
  static constexpr std::uint8_t syn = 2;
  static constexpr std::uint8_t rst = 4;
  static constexpr std::uint8_t psh = 8;
  static constexpr std::uint8_t ack = 16;
  static constexpr std::uint8_t urg = 32;
  static constexpr std::uint8_t ece = 64;
  static constexpr std::uint8_t cwr = 128;

  // From port 41234 to port 443. The options must fill 32-bit words.
  static Bytes tcp(const Bytes& options = {}, std::uint8_t flags = syn)
  {
    Bytes result{0xa1, 0x12, 1, 0xbb, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0, flags, 0xfa, 0xf0, 0, 0, 0, 0};
    result[12] = static_cast<std::uint8_t>((result.size() + options.size()) / 4 << 4);
    return result + options;
  }

  // From 10.0.0.2 to 93.184.216.34, DSCP AF41 with ECT(0), TTL 63, "don't fragment".
  static Bytes ipv4(const Bytes& payload, const Bytes& options = {})
  {
    Bytes result{0x45, 0x8a, 0, 0, 0xbe, 0xef, 0x40, 0, 63, 6, 0, 0, 10, 0, 0, 2, 93, 184, 216, 34};
    result[0] = static_cast<std::uint8_t>(0x40 | (result.size() + options.size()) / 4);
    put_u16(result, 2, result.size() + options.size() + payload.size());
    return result + options + payload;
  }

  // From 2001:db8::2 to 2606:2800:220::22, DSCP EF with ECT(1), hop limit 61.
  static Bytes ipv6(const Bytes& payload, std::uint8_t next_header = 6)
  {
    Bytes result{0x6b, 0x91, 0x23, 0x45, 0, 0, next_header, 61};
    put_u16(result, 4, payload.size());
    const Bytes source{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    const Bytes destination{0x26, 6, 0x28, 0, 2, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x22};
    return result + source + destination + payload;
  }

  // Hop-by-hop (0), routing (43) without segments left, or destination options (60) of `words` times
  // eight bytes.
  static Bytes extension(std::uint8_t next_header, std::size_t words = 1)
  {
    Bytes result(words * 8);
    result[0] = next_header;
    result[1] = static_cast<std::uint8_t>(words - 1);
    return result;
  }

  static Bytes fragment(std::uint8_t next_header, std::size_t offset_in_eights, bool more)
  {
    Bytes result{next_header, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef};
    put_u16(result, 2, offset_in_eights << 3 | (more ? 1 : 0));
    return result;
  }

  // An authentication header (RFC 4302) with a check value of `icv_bytes`.
  static Bytes authentication(std::uint8_t next_header, std::size_t icv_bytes)
  {
    Bytes result(12 + icv_bytes);
    result[0] = next_header;
    result[1] = static_cast<std::uint8_t>(result.size() / 4 - 2);
    return result;
  }
};

// TCP options as they appear in the header.
inline const Bytes end_of_options{0};
inline const Bytes nop{1};
inline const Bytes mss_1460{2, 4, 0x05, 0xb4};
inline const Bytes window_scale_7{3, 3, 7};
inline const Bytes sack_permitted{4, 2};
inline const Bytes timestamps{8, 10, 1, 2, 3, 4, 0, 0, 0, 0};

// What Linux sends.
inline Bytes linux_options()
{
  return mss_1460 + sack_permitted + timestamps + nop + window_scale_7;
}

} // namespace pepsal::test
