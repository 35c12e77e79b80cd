#pragma once

#include <functional>

namespace pepsal {

// Runs `service` in a background process of its own session, whose standard streams are /dev/null and which has none of
// the caller's descriptors. Returns 0 in the foreground process once the service has called the function it is given;
// throws std::runtime_error there with what the service threw before. In the background process it does not return.
int run_in_background(const std::function<int(const std::function<void()>& ready)>& service);

} // namespace pepsal
