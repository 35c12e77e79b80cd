#pragma once

#include <cstdint>

#include "confine/role.hh"

namespace pepsal {

// Whether this process may change its root directory.
bool may_change_root();

// Drops every capability that the role does not need from all sets; for the manager also from the bounding set, so that
// nothing it forks or executes regains it. Throws SystemError.
void keep_capabilities_of(Role role);

// Suspends the effective capabilities during its lifetime.
class WithoutCapabilities
{
public:
  WithoutCapabilities();
  ~WithoutCapabilities();
  WithoutCapabilities(const WithoutCapabilities&) = delete;
  WithoutCapabilities& operator=(const WithoutCapabilities&) = delete;

private:
  std::uint64_t effective_;
  std::uint64_t permitted_;
};

// A netlink socket cannot be used to change anything that its opener was not allowed to change, whoever uses it later
// (netlink_capable() in the kernel).
template<typename Socket> Socket open_without_capabilities()
{
  const WithoutCapabilities nothing;
  return Socket{};
}

} // namespace pepsal
