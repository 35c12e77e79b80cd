#pragma once

#include <stdexcept>

namespace pepsal {

// A wrong option, key or value: one line for the administrator; the program exits with status 2.
class UsageError : public std::runtime_error
{
public:
  using std::runtime_error::runtime_error;
};

} // namespace pepsal
