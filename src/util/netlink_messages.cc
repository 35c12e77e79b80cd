// Lengths in netlink datagrams. Called by whatever passes one to libmnl; cannot fail.

#include "util/netlink_messages.hh"

#include <cstring>

#include <linux/netlink.h>

namespace pepsal {

std::span<const std::byte> whole_messages(std::span<const std::byte> datagram)
{
  std::size_t end = 0;
  while (datagram.size() - end >= sizeof(nlmsghdr)) {
    nlmsghdr header{};
    std::memcpy(&header, datagram.data() + end, sizeof header);
    const auto left = datagram.size() - end;
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > left) {
      break;
    }
    const std::size_t padded = NLMSG_ALIGN(header.nlmsg_len); // in 32 bits, so only for a length known to be short
    if (padded > left) {
      break;
    }
    end += padded;
  }
  return datagram.first(end);
}

} // namespace pepsal
