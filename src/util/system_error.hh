#pragma once

#include <cerrno>
#include <string_view>
#include <system_error>

namespace pepsal {

// A system call that failed because of the environment. what() reads "call operand: reason", for
// example "connect 10.0.0.2:80: Connection refused".
class SystemError : public std::system_error
{
public:
  SystemError(int error_number, std::string_view call_and_operand);
};

// Whether a call failed for lack of descriptors or memory, which is temporary.
constexpr bool is_lack_of_resources(int error)
{
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Returns `result` unless it is -1, the failure value of system calls; otherwise throws SystemError from errno.
template<typename Result> Result check(std::string_view call_and_operand, Result result)
{
  if (result == static_cast<Result>(-1)) {
    throw SystemError{errno, call_and_operand};
  }
  return result;
}

} // namespace pepsal
