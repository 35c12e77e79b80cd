#pragma once

#include <stdexcept>
#include <string_view>
#include <vector>

namespace pepsal::satsim {

// A value on the command line that cannot be used; what() is one line that names it and what is allowed.
class UsageError : public std::runtime_error
{
public:
  using std::runtime_error::runtime_error;
};

// The plain decimal number that `text` is, as a whole, from least to most. Throws UsageError.
double parse_number(std::string_view name, std::string_view text, double least, double most);

// The parts of `text` between any of `separators`; empty parts are kept.
std::vector<std::string_view> split(std::string_view text, std::string_view separators);

} // namespace pepsal::satsim
