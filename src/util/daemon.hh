#pragma once

#include <functional>

namespace pepsal {

// Runs `service` in a background process with its own session, whose standard streams are /dev/null and which has none
// of the caller's descriptors. Returns 0 in the foreground process once the service has called the function passed to
// it; throws std::runtime_error there with the message of an exception that the service threw before. Does not return
// in the background process.
int run_in_background(const std::function<int(const std::function<void()>& ready)>& service);

} // namespace pepsal
