#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "pepsal/connection.hh"

namespace pepsal {

// The value of a word of the command line; nothing if it is not of that form.
std::optional<std::uint32_t> number_in(std::string_view text);
std::optional<Endpoint> endpoint_in(std::string_view text); // "10.0.0.2:4242" or "[2001:db8::2]:4242"

} // namespace pepsal
