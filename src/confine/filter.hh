#pragma once

#include <vector>

#include <linux/filter.h>

#include "confine/role.hh"

namespace pepsal {

// A seccomp filter as the kernel wants it (seccomp(2)).
using Filter = std::vector<sock_filter>;

// What a role may ask of the kernel. Throws SystemError when there is no memory.
Filter filter_of(Role role);

// Puts it on this process and what it forks, for good, in addition to those that are there. Throws SystemError.
void install(const Filter& filter);

} // namespace pepsal
