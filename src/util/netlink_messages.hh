#pragma once

#include <cstddef>
#include <span>

namespace pepsal {

// The messages with which a datagram of netlink(7) begins, up to the first that is not whole, its padding to a multiple
// of 4 bytes included. libmnl relies on it: it takes a length of 2 GiB or more for a negative one, and goes on there
// (mnl_nlmsg_ok), and an attribute may reach into the padding (mnl_attr_for_each).
std::span<const std::byte> whole_messages(std::span<const std::byte> datagram);

} // namespace pepsal
