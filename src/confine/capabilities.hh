#pragma once

#include <cstdint>

#include "confine/role.hh"

namespace pepsal {

// Whether this process may change its root directory.
bool may_change_root();

// Gives up what the role does not need, of the permitted and all other sets; the manager the bounding set too, so that
// nothing it forks or executes gets it back. Throws SystemError.
void keep_capabilities_of(Role role);

// Takes the effective capabilities away while it lives.
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

// Netlink lets a socket change nothing whose opener was not allowed to, whoever uses it (netlink_capable() in the
// kernel).
template<typename Socket> Socket open_without_capabilities()
{
  const WithoutCapabilities nothing;
  return Socket{};
}

} // namespace pepsal
