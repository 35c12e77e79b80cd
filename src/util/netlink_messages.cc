// Lengths in netlink datagrams. Called by whatever hands one to libmnl; cannot fail.

#include "util/netlink_messages.hh"

#include <algorithm>
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
    end += std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), left);
  }
  return datagram.first(end);
}

} // namespace pepsal
