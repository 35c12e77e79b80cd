#pragma once

#include <vector>

#include <linux/filter.h>

#include "confine/role.hh"

namespace pepsal {

// A seccomp filter as the kernel takes it (seccomp(2)).
using Filter = std::vector<sock_filter>;

// The system calls that a role may make. Throws SystemError if there is no memory.
Filter filter_of(Role role);

// Installs it for good on this process and its future children, in addition to existing filters. Throws SystemError.
void install(const Filter& filter);

} // namespace pepsal
