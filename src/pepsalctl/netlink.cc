// Queries and changes through netlink. Called by what reads sockets and shapers, and by what changes shapers. Fails
// with SystemError, as described in the header.

#include "pepsalctl/netlink.hh"

#include <array>
#include <cerrno>
#include <cstddef>

#include <linux/netlink.h>

#include "util/netlink_messages.hh"
#include "util/system_error.hh"

namespace pepsal {

void read_messages(std::span<const std::byte> datagram, mnl_cb_t read, void* data)
{
  const auto whole = whole_messages(datagram);
  static_cast<void>(mnl_cb_run(whole.data(), whole.size(), 0, 0, read, data)); // any sequence number, any sender
}

Netlink::Netlink(int bus, const char* name)
    : name_{name}
    , socket_{mnl_socket_open(bus)}
{
  if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0) {
    throw SystemError{errno, "socket " + name_};
  }
}

void Netlink::dump(nlmsghdr* request, mnl_cb_t read, void* data)
{
  send(request, NLM_F_REQUEST | NLM_F_DUMP);
  receive(read, data);
}

void Netlink::change(nlmsghdr* request)
{
  send(request, NLM_F_REQUEST | NLM_F_ACK);
  receive(nullptr, nullptr);
}

void Netlink::send(nlmsghdr* request, std::uint16_t flags)
{
  request->nlmsg_flags = flags;
  request->nlmsg_seq = ++sequence_;
  check("send " + name_, mnl_socket_sendto(socket_.get(), request, request->nlmsg_len));
}

void Netlink::receive(mnl_cb_t read, void* data)
{
  alignas(nlmsghdr) std::array<char, std::size_t{32} * 1024> buffer{};
  for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
    const auto bytes = check("recv " + name_, mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size()));
    const auto whole = whole_messages(std::as_bytes(std::span{buffer}).first(static_cast<std::size_t>(bytes)));
    more = mnl_cb_run(whole.data(), whole.size(), sequence_, mnl_socket_get_portid(socket_.get()), read, data);
    check(name_, more);
  }
}

} // namespace pepsal
