#pragma once

#include <cstddef>
#include <span>

namespace pepsal {

// The complete messages at the beginning of a netlink(7) datagram, up to the first that is not complete including its
// padding to a multiple of 4 bytes. libmnl relies on this: it takes a length of 2 GiB or more for a negative one and
// continues there (mnl_nlmsg_ok), and an attribute may reach into the padding (mnl_attr_for_each).
std::span<const std::byte> whole_messages(std::span<const std::byte> datagram);

} // namespace pepsal
