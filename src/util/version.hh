#pragma once

namespace pepsal {

// The version of all programs of one build. A function, so that a new number recompiles only one file, and a test can
// link its own.
const char* version();

} // namespace pepsal
