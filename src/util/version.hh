#pragma once

namespace pepsal {

// Of all programs of one build. A function, so that a new number compiles one file, and a test can link another one.
const char* version();

} // namespace pepsal
