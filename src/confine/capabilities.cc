// Capabilities of each role. Called once per process, and by a proxy again after its dial. Dropping is always
// permitted, so it only fails on a broken kernel. The manager uses libcap-ng; a proxy makes two system calls of its
// own, because the library looks up the kernel's capabilities in /proc again after each fork.

#include "confine/capabilities.hh"

#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>

#include <cap-ng.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

using Set = std::uint64_t;

constexpr Set set_of(std::initializer_list<unsigned> capabilities)
{
  Set result = 0;
  for (const auto capability : capabilities) {
    result |= Set{1} << capability;
  }
  return result;
}

constexpr Set needed_by(Role role)
{
  switch (role) {
  case Role::manager:
    // With --user it has only the first four. Without, it also does what happens at a start, for a program that is
    // executed in its place: switch to a user, read another configuration, own and remove files in /run and /dev/shm.
    return set_of({CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_SYS_RESOURCE, CAP_SETUID,
                   CAP_SETGID, CAP_SETPCAP, CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE, CAP_KILL});
  case Role::queuer: // NFQUEUE
  case Role::keeper: // buffers, windows and congestion control of its sockets
    return set_of({CAP_NET_ADMIN});
  case Role::dialler:
    return set_of({CAP_NET_ADMIN, CAP_NET_BIND_SERVICE});
  case Role::proxy: // marks and transparent sockets; clients' ports below 1024; unbinding from an interface, as the
                    // filter allows no raw socket; pipes past the user's share
    return set_of({CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_RESOURCE});
  case Role::session:
    return set_of({CAP_SYS_RESOURCE});
  case Role::paced_session: // congestion control other than the system's
    return set_of({CAP_NET_ADMIN, CAP_SYS_RESOURCE});
  }
  return 0;
}

struct Sets
{
  Set effective;
  Set permitted;
};

using KernelSets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

__user_cap_header_struct this_process()
{
  return {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
}

Sets capabilities()
{
  auto header = this_process();
  KernelSets words{};
  check("capget", ::syscall(SYS_capget, &header, words.data()));
  return {.effective = Set{words[1].effective} << 32U | words[0].effective,
          .permitted = Set{words[1].permitted} << 32U | words[0].permitted};
}

// Like capset(2): 0, or -1 with errno. Clears the inheritable set, and thereby the ambient set.
long try_capabilities(Sets sets) noexcept
{
  auto header = this_process();
  KernelSets words{};
  words[0] = {.effective = static_cast<std::uint32_t>(sets.effective),
              .permitted = static_cast<std::uint32_t>(sets.permitted),
              .inheritable = 0};
  words[1] = {.effective = static_cast<std::uint32_t>(sets.effective >> 32U),
              .permitted = static_cast<std::uint32_t>(sets.permitted >> 32U),
              .inheritable = 0};
  return ::syscall(SYS_capset, &header, words.data());
}

void set_capabilities(Sets sets)
{
  check("capset", try_capabilities(sets));
}

// Capabilities that it keeps stay inheritable and ambient if they were: the queuer is another program.
void keep_in_all_sets(Set kept)
{
  ::capng_get_caps_process();
  const bool bounds = ::capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  for (unsigned capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if ((kept >> capability & 1U) == 0) {
      const auto sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT | CAPNG_BOUNDING_SET;
      ::capng_update(CAPNG_DROP, static_cast<capng_type_t>(sets), capability);
    }
  }
  const int applied = (bounds ? ::capng_apply(CAPNG_SELECT_BOUNDS) : 0) | ::capng_apply(CAPNG_SELECT_CAPS);
  if (applied != 0) {
    throw SystemError{errno, "capset"};
  }
}

} // namespace

bool may_change_root()
{
  return (capabilities().effective >> CAP_SYS_CHROOT & 1U) != 0;
}

void keep_capabilities_of(Role role)
{
  if (role == Role::manager) {
    keep_in_all_sets(needed_by(role));
    return;
  }
  const auto kept = capabilities().permitted & needed_by(role);
  set_capabilities({.effective = kept, .permitted = kept});
}

WithoutCapabilities::WithoutCapabilities()
{
  const auto before = capabilities();
  effective_ = before.effective;
  permitted_ = before.permitted;
  set_capabilities({.effective = 0, .permitted = before.permitted});
}

WithoutCapabilities::~WithoutCapabilities()
{
  [[maybe_unused]] const auto result = try_capabilities({.effective = effective_, .permitted = permitted_});
  assert(result == 0); // what is permitted may always become effective
}

} // namespace pepsal
