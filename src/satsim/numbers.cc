// Strict parsing of numbers from the command line. Used by the options and the schedule; a bad number is a UsageError.

#include "satsim/numbers.hh"

#include <charconv>
#include <cmath>

#include <fmt/core.h>

namespace pepsal::satsim {

double parse_number(std::string_view name, std::string_view text, double least, double most)
{
  double value{};
  const auto* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  const bool is_number = result.ec == std::errc{} && result.ptr == end && std::isfinite(value);
  if (!is_number || value < least || value > most) {
    throw UsageError{fmt::format("{}: '{}' is not a number from {} to {}", name, text, least, most)};
  }
  return value;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators)
{
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find_first_of(separators);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

} // namespace pepsal::satsim
