#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace pepsal {

// Whether rules of pepsal-iptables bring SYNs to one of these queues, by iptables-save of both variants and address
// families, in the calling thread's network namespace; nothing when they cannot be seen, which takes root. Starts
// programs, some milliseconds each.
std::optional<bool> rules_stand(std::span<const std::uint16_t> queues);

// The same as far as everybody may see it: by the ip rules of any instance (mode tproxy), or the sysctl (mode
// redirect), which pepsal-iptables sets and takes back with its netfilter rules. Throws SystemError when the kernel
// does not tell.
bool traces_of_rules_stand();

// The same of the text that one iptables-save prints: a chain of PEPsal's has the rule, and PREROUTING leads to it.
bool rules_lead_to(std::string_view saved, std::span<const std::uint16_t> queues);

} // namespace pepsal
