// The exception for a system call that failed because of the environment. Thrown everywhere, caught once per process
// and once per thread.

#include "util/system_error.hh"

#include <string>

namespace pepsal {

SystemError::SystemError(int error_number, std::string_view call_and_operand)
    : std::system_error{error_number, std::generic_category(), std::string{call_and_operand}}
{}

} // namespace pepsal
