// Lengths in netlink datagrams. Called by whatever hands one to libmnl; cannot fail.

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
    const auto padded = NLMSG_ALIGN(std::size_t{header.nlmsg_len});
    if (header.nlmsg_len < sizeof header || padded > left) {
      break;
    }
    end += padded;
  }
  return datagram.first(end);
}

} // namespace pepsal
