#pragma once

#include <nlohmann/json.hpp>

#include "pepsalctl/connections.hh"

namespace pepsal {

// A connection with all that is known about it, in bytes, seconds and bits/s, without rounding. A missing leg is null.
nlohmann::ordered_json to_json(const ShownConnection& connection);

} // namespace pepsal
