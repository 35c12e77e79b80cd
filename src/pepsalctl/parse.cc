// Words of the command line. Called by commands that take a connection or an address. Nothing here can fail.

#include "pepsalctl/parse.hh"

#include <charconv>

namespace pepsal {

std::optional<std::uint32_t> number_in(std::string_view text)
{
  std::uint32_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc{} && read.ptr == end ? std::optional{number} : std::nullopt;
}

std::optional<Endpoint> endpoint_in(std::string_view text)
{
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  auto address = text.substr(0, colon);
  const bool bracketed = address.starts_with('[') && address.ends_with(']');
  if (bracketed) {
    address = address.substr(1, address.size() - 2);
  }
  const auto port = number_in(text.substr(colon + 1));
  const auto result = Endpoint::parse(address, static_cast<std::uint16_t>(port.value_or(0)));
  const bool is_valid = port && *port <= UINT16_MAX && result && result->is_ipv4() != bracketed;
  return is_valid ? result : std::nullopt;
}

} // namespace pepsal
