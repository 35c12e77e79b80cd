// The PROXY protocol header, version 2, of a warm connection. The near box writes it, the far box reads it from a
// connection that anyone may have made, so nothing in it is trusted before its length has been checked. Only parsing
// can fail here.

#include "peer/proxy_header.hh"

#include <algorithm>
#include <array>

namespace pepsal {

namespace {

constexpr std::array<std::uint8_t, 12> signature{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr std::uint8_t version_2_proxy = 0x21;
constexpr std::uint8_t tcp_over_ipv4 = 0x11;
constexpr std::uint8_t tcp_over_ipv6 = 0x21;
constexpr std::size_t tlv_head_bytes = 3; // type, length in two bytes
constexpr std::uint8_t type_traffic_class = 0xe0;
constexpr std::uint8_t type_hops = 0xe1;
constexpr std::size_t ipv4_offset = 12; // in an IPv4-mapped address

constexpr std::size_t address_bytes(bool ipv4)
{
  return ipv4 ? 4 : 16;
}

class Writer
{
public:
  explicit Writer(std::vector<std::byte>& bytes)
      : bytes_{bytes}
  {}

  void byte(unsigned value) { bytes_.push_back(static_cast<std::byte>(value)); }

  void number(std::size_t value)
  {
    byte((value >> 8U) & 0xffU);
    byte(value & 0xffU);
  }

  void address(const Endpoint& endpoint, bool ipv4)
  {
    for (const auto value : std::span{endpoint.address}.subspan(ipv4 ? ipv4_offset : 0)) {
      byte(value);
    }
  }

  void tlv(std::uint8_t type, std::uint8_t value)
  {
    byte(type);
    number(1);
    byte(value);
  }

private:
  std::vector<std::byte>& bytes_;
};

std::uint8_t byte_at(std::span<const std::byte> bytes, std::size_t place)
{
  return std::to_integer<std::uint8_t>(bytes[place]);
}

std::uint16_t number_at(std::span<const std::byte> bytes, std::size_t place)
{
  return static_cast<std::uint16_t>((byte_at(bytes, place) << 8U) | byte_at(bytes, place + 1));
}

Endpoint endpoint_at(std::span<const std::byte> bytes, std::size_t address, std::size_t port, bool ipv4)
{
  std::array<std::uint8_t, 16> raw{};
  for (std::size_t i = 0; i < address_bytes(ipv4); ++i) {
    raw[i] = byte_at(bytes, address + i);
  }
  const auto number = number_at(bytes, port);
  return ipv4 ? Endpoint::from_ipv4(raw.data(), number) : Endpoint::from_ipv6(raw.data(), number);
}

// Parses the TLVs and stores the known ones in `header`; false if one is malformed or repeated.
bool parse_tlvs(std::span<const std::byte> rest, ProxyHeader& header)
{
  bool has_traffic_class = false;
  bool has_hops = false;
  const auto take = [](std::span<const std::byte> value, bool& seen, std::uint8_t& target) {
    if (seen || value.size() != 1) {
      return false;
    }
    seen = true;
    target = byte_at(value, 0);
    return true;
  };
  while (!rest.empty()) {
    if (rest.size() < tlv_head_bytes || rest.size() - tlv_head_bytes < number_at(rest, 1)) {
      return false;
    }
    const auto type = byte_at(rest, 0);
    const auto value = rest.subspan(tlv_head_bytes, number_at(rest, 1));
    if ((type == type_traffic_class && !take(value, has_traffic_class, header.traffic_class)) ||
        (type == type_hops && !take(value, has_hops, header.hops))) {
      return false;
    }
    rest = rest.subspan(tlv_head_bytes + value.size());
  }
  return true;
}

} // namespace

std::vector<std::byte> ProxyHeader::encode() const
{
  const bool ipv4 = client.is_ipv4();
  std::vector<std::byte> bytes;
  Writer writer{bytes};
  for (const auto value : signature) {
    writer.byte(value);
  }
  writer.byte(version_2_proxy);
  writer.byte(ipv4 ? tcp_over_ipv4 : tcp_over_ipv6);
  writer.number(2 * address_bytes(ipv4) + 2 * sizeof(std::uint16_t) + 2 * (tlv_head_bytes + 1));
  writer.address(client, ipv4);
  writer.address(server, ipv4);
  writer.number(client.port);
  writer.number(server.port);
  writer.tlv(type_traffic_class, traffic_class);
  writer.tlv(type_hops, hops);
  return bytes;
}

std::optional<std::size_t> ProxyHeader::length_of(std::span<const std::byte, fixed_bytes> beginning)
{
  const auto is_signature = std::equal(signature.begin(), signature.end(), beginning.begin(),
                                       [](std::uint8_t a, std::byte b) { return std::byte{a} == b; });
  const auto family = byte_at(beginning, 13);
  const auto length = fixed_bytes + number_at(beginning, 14);
  if (!is_signature || byte_at(beginning, 12) != version_2_proxy ||
      (family != tcp_over_ipv4 && family != tcp_over_ipv6) || length > most_bytes) {
    return std::nullopt;
  }
  return length;
}

std::optional<ProxyHeader> ProxyHeader::parse(std::span<const std::byte> header)
{
  if (header.size() < fixed_bytes || length_of(header.first<fixed_bytes>()) != header.size()) {
    return std::nullopt;
  }
  const bool ipv4 = byte_at(header, 13) == tcp_over_ipv4;
  const auto source = fixed_bytes;
  const auto destination = source + address_bytes(ipv4);
  const auto source_port = destination + address_bytes(ipv4);
  const auto destination_port = source_port + sizeof(std::uint16_t);
  const auto tlvs = destination_port + sizeof(std::uint16_t);
  if (header.size() < tlvs) {
    return std::nullopt;
  }
  ProxyHeader result{.client = endpoint_at(header, source, source_port, ipv4),
                     .server = endpoint_at(header, destination, destination_port, ipv4)};
  // An IPv4-mapped address is IPv4 written as IPv6: only one notation is accepted.
  if (result.client.is_ipv4() != ipv4 || result.server.is_ipv4() != ipv4 || !parse_tlvs(header.subspan(tlvs), result)) {
    return std::nullopt;
  }
  return result;
}

} // namespace pepsal
