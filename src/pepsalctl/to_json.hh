#pragma once

#include <nlohmann/json.hpp>

#include "pepsalctl/connections.hh"

namespace pepsal {

// A connection with all that is known of it: bytes, seconds and bits/s, whole. A leg that is not there is null.
nlohmann::ordered_json to_json(const ShownConnection& connection);

} // namespace pepsal
