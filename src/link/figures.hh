#pragma once

#include <cstdint>

#include "link/link.hh"

namespace pepsal {

// What a connection's leg across a link needs, in bytes.
struct LegFigures
{
  std::uint32_t bytes_in_flight{};      // sent but not acknowledged while the link is full: one bandwidth-delay product
  std::uint32_t receive_buffer_bytes{}; // SO_RCVBUF
  std::uint32_t send_buffer_bytes{};    // SO_SNDBUF
};

// For the packets that are repeated; all zero for a link without loss.
struct RepeatFigures
{
  std::uint32_t packets{};     // kept until the link is idle; 0: nothing is repeated
  std::uint32_t burst_bytes{}; // repeated while the link is busy, after a quiet time
  std::uint64_t bit{};         // per second, at which this burst is replenished
};

// What the interface to the link needs; pepsal-satlink(8) sets it.
struct InterfaceFigures
{
  std::uint64_t shaped_bit{};            // per second, just under what the link carries
  std::uint64_t queue_bytes{};           // of the shaper
  std::uint32_t share_bytes{};           // each connection's share of it (tcp_limit_output_bytes)
  std::uint32_t largest_buffer_bytes{};  // maximum of tcp_rmem and tcp_wmem
  std::uint32_t send_window_segments{};  // initcwnd of routes
  std::uint32_t receive_window_segments; // initrwnd of routes
  std::uint32_t flush_us{};              // how long arriving packets are held to save acknowledgements; 0: not at all
  std::uint32_t longest_timeout_ms{};    // tcp_rto_max_ms
  RepeatFigures repeat;
};

// Both need a link with rates. This is the only place where buffers, windows, shaper and timers are derived from a
// link.
LegFigures leg_figures(const Link& link);
InterfaceFigures interface_figures(const Link& link, unsigned mtu_bytes);

} // namespace pepsal
