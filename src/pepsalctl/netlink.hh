#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <libmnl/libmnl.h>

namespace pepsal {

// Passes each message of one datagram to `read` with `data`, whatever the datagram contains; stops where it is
// malformed.
void read_messages(std::span<const std::byte> datagram, mnl_cb_t read, void* data);

// A netlink socket for queries to the kernel.
class Netlink
{
public:
  // `bus` such as NETLINK_ROUTE; `name` is how errors call it. Throws SystemError.
  Netlink(int bus, const char* name);

  // Sends a request for a dump and passes each message of the answer to `read` with `data`. Throws SystemError; with
  // EINTR if the listed objects have changed meanwhile.
  void dump(nlmsghdr* request, mnl_cb_t read, void* data);

  // Sends a request for a change and waits until it is done. Throws SystemError.
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
