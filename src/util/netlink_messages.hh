#pragma once

#include <cstddef>
#include <span>

namespace pepsal {

// The messages with which a datagram of netlink(7) begins, up to the first that is not whole. libmnl relies on it: it
// takes a length of 2 GiB or more for a negative one, and goes on there (mnl_nlmsg_ok).
std::span<const std::byte> whole_messages(std::span<const std::byte> datagram);

} // namespace pepsal
