// Fuzzes what a box reads from another one before it trusts it: the PROXY header, and the records around it. None may
// read a byte past its end (AddressSanitizer checks that: each copy has exactly its size). A header that is accepted is
// the same when written out and read again; no part of it, and nothing longer, is accepted.

#include <algorithm>
#include <vector>

#include "harness.hh"
#include "peer/answer.hh"
#include "peer/handshake.hh"
#include "peer/proxy_header.hh"
#include "util/destination.hh"

using namespace pepsal;
using test::require;

namespace {

using Bytes = std::span<const std::byte>;

std::optional<ProxyHeader> parse_exactly(Bytes bytes)
{
  const std::vector<std::byte> copy{bytes.begin(), bytes.end()};
  return ProxyHeader::parse(copy);
}

void check_header(Bytes bytes)
{
  const auto header = parse_exactly(bytes);
  if (!header) {
    return;
  }
  require(bytes.size() <= ProxyHeader::most_bytes, "a header that is too long is accepted");
  require(ProxyHeader::length_of(bytes.first<ProxyHeader::fixed_bytes>()) == bytes.size(), "the length differs");
  require(header->client.is_ipv4() == header->server.is_ipv4(), "the families differ");
  require(ProxyHeader::parse(header->encode()) == header, "written out it says something else");
  (void)forbidden_destination(header->server);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    require(!parse_exactly(bytes.first(length)), "a part is accepted");
  }
  std::vector<std::byte> longer{bytes.begin(), bytes.end()};
  longer.push_back(std::byte{0x5a});
  require(!parse_exactly(longer), "more than the header is accepted");
}

// Whatever a record's parser accepts is written out so that it reads the same.
template<typename Record> void check_record(Bytes bytes)
{
  if (bytes.size() < Record::bytes) {
    return;
  }
  const std::vector<std::byte> copy{bytes.begin(), bytes.begin() + Record::bytes};
  const auto record = Record::parse(std::span{copy}.template first<Record::bytes>());
  require(!record || Record::parse(record->encode()) == record, "a record says something else when written out");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const auto bytes = std::as_bytes(std::span{data, size});
  check_header(bytes);
  // As the far box reads it: the fixed part first, then as much as that announces.
  if (bytes.size() >= ProxyHeader::fixed_bytes) {
    const auto length = ProxyHeader::length_of(bytes.first<ProxyHeader::fixed_bytes>());
    require(!length || *length <= ProxyHeader::most_bytes, "more is announced than is ever read");
    if (length && *length < bytes.size()) {
      check_header(bytes.first(*length));
    }
  }
  check_record<Greeting>(bytes);
  check_record<Welcome>(bytes);
  check_record<PeerAnswer>(bytes);
  return 0;
}
