// The kernel's notifications about interfaces. Watched by the manager, which then checks for itself: the contents of
// the messages, and whether some were lost, do not matter.

#include "tcp/interface_watch.hh"

#include <array>

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "util/system_error.hh"

namespace pepsal {

InterfaceWatch::InterfaceWatch()
    : socket_{Socket::create(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE)}
{
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  check("bind RTMGRP_LINK", ::bind(socket_.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

void InterfaceWatch::forget()
{
  std::array<char, 8192> message{};
  while (::recv(socket_.number(), message.data(), message.size(), 0) > 0 || errno == ENOBUFS) {
  }
}

} // namespace pepsal
