#pragma once

#include <functional>

namespace pepsal {

// Runs `service` in a background process of its own session. Returns in the foreground process: 0 once
// the service has called the function it is given, 1 if it ended before, having said why on stderr.
// In the background process it does not return. Afterwards stdin, stdout and stderr are /dev/null there.
int run_in_background(const std::function<int(const std::function<void()>& ready)>& service);

} // namespace pepsal
