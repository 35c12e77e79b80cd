#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "util/endpoint.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// A socket. Calls that fail because of the environment throw SystemError naming the option or address.
class Socket : public FileDescriptor
{
public:
  using FileDescriptor::FileDescriptor;

  // socket(2), close-on-exec.
  static Socket create(int family, int type, int protocol);

  // setsockopt(2) for integer and string options; `name` is how errors call it.
  void set_option(int level, int option, int value, std::string_view name);
  void set_option(int level, int option, const std::string& value, std::string_view name);

  // The local address; for an accepted connection under TPROXY, the original destination.
  Endpoint local_endpoint() const;

  // AF_INET or AF_INET6.
  int family() const;

  // The address at the other end (getpeername(2)); nothing if it is not, or no longer, connected.
  std::optional<Endpoint> remote_endpoint() const;

  // Name of the interface that SO_BINDTODEVICE (socket(7)) binds it to; empty if none, or one that has gone.
  std::string bound_interface() const;

  // SO_MARK (socket(7)), by which netfilter and routing recognise the socket's packets. Needs CAP_NET_ADMIN.
  void set_mark(std::uint32_t mark);
};

class TCPSocket : public Socket
{
public:
  using Socket::Socket;

  // Segments are sent at once (no Nagle algorithm, RFC 896).
  void set_nodelay();

  // While set, closing the socket, and so the death of the process, resets the connection instead of ending it as if
  // everything had been delivered.
  void set_reset_on_close(bool reset);

  // TCP_CONGESTION of tcp(7).
  void set_congestion(const std::string& name);
  std::string congestion() const;

  // The traffic class of what is sent from now on (IP_TOS, IPV6_TCLASS), except for the two ECN bits, which the kernel
  // leaves to TCP.
  void set_traffic_class(std::uint8_t traffic_class);

  // IP_TRANSPARENT: may bind to addresses that are not this host's. Needs CAP_NET_ADMIN or CAP_NET_RAW.
  void set_transparent(int family);

  // The error that ended the connection, or that a non-blocking connect ran into; 0 for none.
  int take_error();

  // State as in tcp(7)'s tcp_info: TCP_ESTABLISHED, TCP_SYN_RECV, ...
  int state() const;

  // Whether the SYN of this connection carried data that its receiver accepted (RFC 7413).
  bool has_syn_data() const;

  // Allows a first flight of `bytes`, for a peer known to have that much room. A SYN's window is not scaled and so
  // cannot exceed 64 kB (RFC 7323 section 2.2), although a Linux receiver takes what its buffer holds. Uses
  // TCP_REPAIR_WINDOW, which needs CAP_NET_ADMIN.
  void assume_peer_window(std::uint32_t bytes);

  // The same, and also offers the other side a window of `receive_bytes`, for which the receive buffer must have room;
  // the next segment announces it. A window never shrinks (RFC 9293 section 3.8.6), so it stays open until received
  // data have made the kernel's own as large.
  void open_windows(std::uint32_t send_bytes, std::uint32_t receive_bytes);

  // Original destination of a connection that nat REDIRECT brought here; nothing if netfilter knows none.
  std::optional<Endpoint> redirected_from() const;
};

} // namespace pepsal
