#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace pepsal {

// Whether rules of pepsal-iptables lead SYNs to one of these queues, according to iptables-save of both variants and
// address families in the calling thread's network namespace; nothing if they cannot be seen, which needs root. Starts
// programs, which take a few milliseconds each.
std::optional<bool> rules_stand(std::span<const std::uint16_t> queues);

// The same as far as any user can see it: by the ip rules of any instance (tproxy mode), or the sysctl (redirect mode),
// which pepsal-iptables sets and restores together with its netfilter rules. Throws SystemError if the kernel does not
// report them.
bool traces_of_rules_stand();

// The same for the output of one iptables-save: one of PEPsal's chains has the rule, and PREROUTING leads to it.
bool rules_lead_to(std::string_view saved, std::span<const std::uint16_t> queues);

} // namespace pepsal
