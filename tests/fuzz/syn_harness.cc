// Fuzzes the SYN parser with packets as the queuer may get them. It may read no byte past the packet's end
// (AddressSanitizer checks that: the copy has exactly its size), must agree with a second parser, and must give the
// same result for a packet that is partly copied or not at all, and for one with bytes after it.

#include <vector>

#include "harness.hh"
#include "queuer/syn_parser.hh"
#include "syn_reference.hh"

using namespace pepsal;
using test::require;

namespace {

std::optional<Connection> parse_exactly(std::span<const std::uint8_t> packet)
{
  const std::vector<std::uint8_t> copy{packet.begin(), packet.end()};
  const auto bytes = std::as_bytes(std::span{copy});
  const auto syn = parse_syn(bytes);
  if (syn) {
    const Segment same{.source = syn->client, .destination = syn->server, .traffic_class = syn->syn.traffic_class};
    require(parse_segment(bytes) == same, "a SYN is another one's segment");
  } else {
    parse_segment(bytes);
  }
  return syn;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  constexpr std::size_t max_bytes = 1000;
  const std::span packet{data, std::min(size, max_bytes)};
  const auto result = parse_exactly(packet);
  require(result == test::ReferenceParser::parse(packet), "the two parsers differ");
  for (std::size_t length = 0; length < packet.size(); ++length) {
    const auto of_prefix = parse_exactly(packet.first(length));
    require(!of_prefix || of_prefix == result, "a part of the packet says something else than the whole");
  }
  if (result) {
    std::vector<std::uint8_t> longer{packet.begin(), packet.end()};
    longer.insert(longer.end(), 64, 0x5a);
    require(parse_exactly(longer) == result, "bytes behind the header change what it says");
  }
  return 0;
}
