#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <linux/tcp.h>

#include "pepsal/connection.hh"

namespace pepsal {

// A TCP socket as described by the kernel (sock_diag(7)).
struct SocketFacts
{
  Endpoint local;
  Endpoint remote;
  std::uint32_t inode{};         // as in the links of /proc/PID/fd
  std::uint8_t state{};          // TCP_ESTABLISHED and so on, see tcp_state_name()
  std::uint32_t receive_queue{}; // bytes that the program has not read
  std::uint32_t send_queue{};    // bytes that the host has not acknowledged, sent or not
  std::string congestion;        // name of the algorithm
  tcp_info info{};               // fields that an older kernel does not fill in are 0
};

// All TCP sockets of the calling thread's network namespace that are neither listening nor in TIME_WAIT. Needs no
// privilege. Throws SystemError when the kernel has no inet_diag.
std::vector<SocketFacts> tcp_sockets();

// The sockets described by one datagram of the kernel's answer.
std::vector<SocketFacts> sockets_in(std::span<const std::byte> answer);

// "established", "fin-wait-1", ... as ss(8) calls them.
const char* tcp_state_name(std::uint8_t state);

} // namespace pepsal
