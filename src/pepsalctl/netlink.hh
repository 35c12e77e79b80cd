#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <libmnl/libmnl.h>

namespace pepsal {

// Gives each message of one datagram to `read` with `data`, whatever the datagram is; ends where it makes no sense.
void read_messages(std::span<const std::byte> datagram, mnl_cb_t read, void* data);

// A netlink socket to ask the kernel by.
class Netlink
{
public:
  // `bus` as NETLINK_ROUTE; `name` is what messages of failure call it. Throws SystemError.
  Netlink(int bus, const char* name);

  // Sends a request for a dump and gives each message of the answer to `read` with `data`. Throws SystemError; EINTR
  // when what was listed has changed meanwhile.
  void dump(nlmsghdr* request, mnl_cb_t read, void* data);

  // Sends a request to change what is there, and waits until it is done. Throws SystemError.
  void change(nlmsghdr* request);

private:
  void send(nlmsghdr* request, std::uint16_t flags);
  void receive(mnl_cb_t read, void* data);

  struct Close
  {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };

  std::string name_;
  std::unique_ptr<mnl_socket, Close> socket_;
  unsigned sequence_{};
};

} // namespace pepsal
