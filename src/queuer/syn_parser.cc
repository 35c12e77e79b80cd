// Parses the one packet that matters, an opening SYN, from bytes that anyone may have sent. Called by the queuer for
// every queued packet, and by the fuzz harness. Cannot fail: if in doubt, it returns nothing.

#include "queuer/syn_parser.hh"

#include <algorithm>
#include <array>

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace pepsal {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t tcp_header_bytes = 20;
constexpr std::size_t ipv4_header_bytes = 20;
constexpr std::size_t ipv6_header_bytes = 40;

std::uint8_t byte_at(Bytes bytes, std::size_t offset)
{
  return std::to_integer<std::uint8_t>(bytes[offset]);
}

std::uint16_t u16_at(Bytes bytes, std::size_t offset)
{
  return static_cast<std::uint16_t>(byte_at(bytes, offset) << 8 | byte_at(bytes, offset + 1));
}

const std::uint8_t* address_at(Bytes bytes, std::size_t offset)
{
  return reinterpret_cast<const std::uint8_t*>(bytes.subspan(offset).data());
}

// Options that netinet/tcp.h does not name.
constexpr std::uint8_t option_md5_signature = 19;  // RFC 2385
constexpr std::uint8_t option_authentication = 29; // RFC 5925
constexpr std::uint8_t option_multipath = 30;      // RFC 8684 section 3
constexpr std::uint8_t multipath_join = 1;         // its subtype, in the upper half of the third byte

// RFC 9293 section 3.2; window scale and timestamps RFC 7323, SACK-permitted RFC 2018.
void parse_options(Bytes options, SynAttributes& syn)
{
  constexpr std::uint8_t max_window_scale = 14; // RFC 7323 section 2.3
  while (!options.empty()) {
    const auto kind = byte_at(options, 0);
    if (kind == TCPOPT_EOL) {
      return;
    }
    if (kind == TCPOPT_NOP) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2) {
      return;
    }
    const std::size_t length = byte_at(options, 1);
    if (length < 2 || length > options.size()) {
      return;
    }
    if (kind == TCPOPT_MAXSEG && length == TCPOLEN_MAXSEG) {
      syn.mss = u16_at(options, 2);
    } else if (kind == TCPOPT_WINDOW && length == TCPOLEN_WINDOW) {
      syn.window_scale = std::min(byte_at(options, 2), max_window_scale);
    } else if (kind == TCPOPT_SACK_PERMITTED && length == TCPOLEN_SACK_PERMITTED) {
      syn.sack_permitted = true;
    } else if (kind == TCPOPT_TIMESTAMP && length == TCPOLEN_TIMESTAMP) {
      syn.timestamps = true;
    } else if (kind == option_md5_signature || kind == option_authentication) {
      syn.unsplittable = Unsplittable::authentication;
    } else if (kind == option_multipath && length > 2 && byte_at(options, 2) >> 4 == multipath_join) {
      syn.unsplittable = Unsplittable::joining;
    }
    options = options.subspan(length);
  }
}

enum class Wanted
{
  opening_syn,
  any_segment // only its ends matter
};

// `segment` begins with the TCP header; `segment_bytes` is its length on the wire, the end of which may not have been
// copied. Fills in ports and attributes; false unless it is what is wanted.
bool parse_tcp(Bytes segment, std::size_t segment_bytes, Wanted wanted, Connection& connection)
{
  if (segment.size() < tcp_header_bytes) {
    return false;
  }
  const std::size_t header_bytes = std::size_t{4} * (byte_at(segment, 12) >> 4);
  if (header_bytes < tcp_header_bytes || header_bytes > segment_bytes || header_bytes > segment.size()) {
    return false;
  }
  connection.client.port = u16_at(segment, 0);
  connection.server.port = u16_at(segment, 2);
  if (wanted == Wanted::any_segment) {
    return true;
  }
  if ((byte_at(segment, 13) & (TH_SYN | TH_ACK | TH_RST | TH_FIN)) != TH_SYN) {
    return false;
  }
  connection.syn.initial_sequence = std::uint32_t{u16_at(segment, 4)} << 16 | u16_at(segment, 6);
  parse_options(segment.subspan(tcp_header_bytes, header_bytes - tcp_header_bytes), connection.syn);
  return connection.client.port != 0 && connection.server.port != 0;
}

std::optional<Connection> parse_ipv4(Bytes packet, Wanted wanted)
{
  constexpr std::uint16_t more_fragments_or_offset = 0x3fff;
  if (packet.size() < ipv4_header_bytes) {
    return std::nullopt;
  }
  const std::size_t header_bytes = std::size_t{4} * (byte_at(packet, 0) & 0xfU);
  const std::size_t total_bytes = u16_at(packet, 2);
  if (header_bytes < ipv4_header_bytes || header_bytes > packet.size() || header_bytes > total_bytes ||
      (u16_at(packet, 6) & more_fragments_or_offset) != 0 || byte_at(packet, 9) != IPPROTO_TCP) {
    return std::nullopt;
  }
  Connection result{.client = Endpoint::from_ipv4(address_at(packet, 12), 0),
                    .server = Endpoint::from_ipv4(address_at(packet, 16), 0),
                    .syn = {.traffic_class = byte_at(packet, 1), .ttl = byte_at(packet, 8)}};
  const auto copied = packet.subspan(header_bytes, std::min(packet.size(), total_bytes) - header_bytes);
  return parse_tcp(copied, total_bytes - header_bytes, wanted, result) ? std::optional{result} : std::nullopt;
}

// Where the TCP header begins after the extension headers (RFC 8200 section 4; RFC 4302 for AH's length); nothing if it
// is not TCP, incomplete, or one of several fragments.
std::optional<std::size_t> skip_extension_headers(Bytes packet)
{
  auto next = byte_at(packet, 6);
  std::size_t offset = ipv6_header_bytes;
  while (next != IPPROTO_TCP) {
    if (packet.size() < offset + 8) {
      return std::nullopt;
    }
    std::size_t length = 0;
    switch (next) {
    case IPPROTO_ROUTING:
      if (byte_at(packet, offset + 3) != 0) {
        return std::nullopt; // segments left: the header's destination is only an intermediate one
      }
      [[fallthrough]];
    case IPPROTO_HOPOPTS:
    case IPPROTO_DSTOPTS:
      length = (std::size_t{byte_at(packet, offset + 1)} + 1) * 8;
      break;
    case IPPROTO_AH:
      length = (std::size_t{byte_at(packet, offset + 1)} + 2) * 4;
      break;
    case IPPROTO_FRAGMENT:
      // An atomic fragment (RFC 6946) is a whole packet: offset 0 and no more fragments.
      if ((u16_at(packet, offset + 2) & 0xfff9U) != 0) {
        return std::nullopt;
      }
      length = 8;
      break;
    default:
      return std::nullopt;
    }
    next = byte_at(packet, offset);
    offset += length;
  }
  return offset;
}

std::optional<Connection> parse_ipv6(Bytes packet, Wanted wanted)
{
  if (packet.size() < ipv6_header_bytes) {
    return std::nullopt;
  }
  const std::size_t total_bytes = ipv6_header_bytes + u16_at(packet, 4);
  packet = packet.first(std::min(packet.size(), total_bytes));
  const auto tcp = skip_extension_headers(packet);
  if (!tcp || *tcp > packet.size()) {
    return std::nullopt;
  }
  const auto traffic_class = static_cast<std::uint8_t>(u16_at(packet, 0) >> 4);
  Connection result{.client = Endpoint::from_ipv6(address_at(packet, 8), 0),
                    .server = Endpoint::from_ipv6(address_at(packet, 24), 0),
                    .syn = {.traffic_class = traffic_class, .ttl = byte_at(packet, 7)}};
  if (result.client.is_ipv4() || result.server.is_ipv4()) {
    return std::nullopt; // IPv4-mapped, which never appears on the wire: it would be taken for an IPv4 connection
  }
  return parse_tcp(packet.subspan(*tcp), total_bytes - *tcp, wanted, result) ? std::optional{result} : std::nullopt;
}

std::optional<Connection> parse(Bytes packet, Wanted wanted)
{
  if (packet.empty()) {
    return std::nullopt;
  }
  switch (byte_at(packet, 0) >> 4) {
  case 4:
    return parse_ipv4(packet, wanted);
  case 6:
    return parse_ipv6(packet, wanted);
  default:
    return std::nullopt;
  }
}

} // namespace

std::optional<Connection> parse_syn(std::span<const std::byte> packet)
{
  return parse(packet, Wanted::opening_syn);
}

std::optional<Segment> parse_segment(std::span<const std::byte> packet)
{
  const auto parsed = parse(packet, Wanted::any_segment);
  if (!parsed) {
    return std::nullopt;
  }
  return Segment{.source = parsed->client, .destination = parsed->server, .traffic_class = parsed->syn.traffic_class};
}

} // namespace pepsal
