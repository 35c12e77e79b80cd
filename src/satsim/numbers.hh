#pragma once

#include <string_view>
#include <vector>

#include "util/usage_error.hh"

namespace pepsal::satsim {

// Parses the whole of `text` as a plain decimal number from least to most. Throws UsageError.
double parse_number(std::string_view name, std::string_view text, double least, double most);

// The parts of `text` between any of `separators`; empty parts are kept.
std::vector<std::string_view> split(std::string_view text, std::string_view separators);

} // namespace pepsal::satsim
