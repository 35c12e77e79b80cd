// Everything that follows from a link's rates and round-trip time. Called by the daemon for its legs, and by `pepsal
// --print-links`, from which pepsal-satlink takes the interface's. Cannot fail; every figure is kept within what the
// kernel accepts.

#include "link/figures.hh"

#include <algorithm>
#include <cmath>

namespace pepsal {

namespace {

// Room for what is in flight, and for three more round trips: repairing a packet that is lost twice takes that long,
// and the sender should not stall meanwhile.
constexpr std::uint32_t headroom = 4;

constexpr double acknowledgement_bytes = 52; // IPv4 and TCP with timestamps (RFC 7323)

double bytes_per_second(double mbit)
{
  return mbit * 1e6 / 8;
}

double product_bytes(const Link& link, double mbit)
{
  return bytes_per_second(mbit) * std::chrono::duration<double>{link.round_trip}.count();
}

std::uint32_t within(double least, double value, double most)
{
  return static_cast<std::uint32_t>(std::llround(std::clamp(value, least, most)));
}

// Derived from how many bytes each acknowledgement must cover so that all of them take less than 15 % of the return
// direction.
std::uint32_t flush_microseconds(double send_mbit)
{
  constexpr double share = 0.15;
  constexpr double least_us = 100;  // below it, holding gains nothing
  constexpr double most_us = 8'000; // beyond it, the delay begins to show
  const double needed_us = acknowledgement_bytes * 8 / (send_mbit * share);
  return needed_us < least_us ? 0 : within(0, needed_us, most_us);
}

// A copy is worth sending for half a round trip: the last copy then arrives as early as TCP's own repair of the first
// packet would. Packets are counted in the size in which TCP hands them down, which is what BBR sends in a millisecond
// at its start. Once a minute, for as long as HTB remembers, a tenth of a bandwidth-delay product may be repeated
// without an idle link, so that bulk after a quiet time begins without a gap; but only if that much would almost
// certainly lose a packet, because a copy that repairs a loss looks like reordering to the sender and makes it wait
// longer before it repairs others.
RepeatFigures repeat_figures(const Link& link, double segment_bytes)
{
  constexpr double startup_gain = 2.89; // of BBR's pacing, 2/ln 2
  constexpr double least_segments = 2;
  constexpr double most_segments = 8; // gso_max_segs
  constexpr double least_packets = 16;
  constexpr double most_packets = 10'000;
  constexpr double least_burst_bytes = 3'028; // two frames
  constexpr double most_burst_bytes = 100e6;
  constexpr double least_losses = 3; // of a burst: 95 % that it has one
  constexpr std::uint64_t refill_s = 60;
  if (link.loss_percent == 0) {
    return {};
  }
  const double in_flight = product_bytes(link, link.send_mbit());
  const double segments = std::clamp(startup_gain * bytes_per_second(link.send_mbit()) / 1000 / segment_bytes,
                                     least_segments, most_segments);
  const double losses = in_flight / 10 / segment_bytes * link.loss_percent / 100;
  const auto burst = within(least_burst_bytes, losses < least_losses ? 0 : in_flight / 10, most_burst_bytes);
  return {.packets = within(least_packets, in_flight / 2 / segment_bytes / segments, most_packets),
          .burst_bytes = burst,
          .bit = std::max<std::uint64_t>(std::uint64_t{8} * burst / refill_s, 1'000)};
}

} // namespace

LegFigures leg_figures(const Link& link)
{
  constexpr double least_bytes = 128.0 * 1024;
  constexpr double most_bytes = 256.0 * 1024 * 1024; // the kernel doubles a buffer for its bookkeeping (socket(7))
  const auto product = [&](double mbit) { return within(least_bytes, product_bytes(link, mbit), most_bytes); };
  const auto in_flight = product(link.send_mbit());
  return {.bytes_in_flight = in_flight,
          .receive_buffer_bytes = headroom * product(link.receive_mbit()),
          .send_buffer_bytes = headroom * in_flight};
}

InterfaceFigures interface_figures(const Link& link, unsigned mtu_bytes)
{
  constexpr double shaped_share = 0.992;               // the queue builds up here, not in the satellite modem
  constexpr double most_bytes = 1e9;                   // of a buffer or a queue
  constexpr double kernels_largest_buffer = 6'291'456; // tcp_rmem, tcp(7)
  constexpr double share_seconds = 0.05;               // all have the same share of the queue and therefore of the link
  constexpr double least_share_bytes = 32'768;
  constexpr double most_share_bytes = 262'144;
  constexpr double least_window_segments = 10; // RFC 6928
  constexpr double most_window_segments = 65'535;
  const double segment_bytes = std::max(mtu_bytes, 576U) - acknowledgement_bytes;
  const double send_bytes = product_bytes(link, link.send_mbit());
  const double faster_bytes = product_bytes(link, std::max(link.down_mbit, link.up_mbit));
  const auto round_trip_ms = static_cast<double>(link.round_trip.count());
  const auto window = [&](double segments) { return within(least_window_segments, segments, most_window_segments); };
  return {
      .shaped_bit = static_cast<std::uint64_t>(std::llround(link.send_mbit() * 1e6 * shaped_share)),
      .queue_bytes = within(1e6, 8 * send_bytes + 1e6, most_bytes),
      .share_bytes = within(least_share_bytes, bytes_per_second(link.send_mbit()) * share_seconds, most_share_bytes),
      .largest_buffer_bytes = within(kernels_largest_buffer, headroom * faster_bytes, most_bytes),
      .send_window_segments = window(send_bytes / segment_bytes),
      .receive_window_segments = window(faster_bytes / segment_bytes + 1),
      .flush_us = flush_microseconds(link.send_mbit()),
      .longest_timeout_ms = within(1'000, 3 * round_trip_ms, 120'000), // after a fade, a transfer resumes within this
      .repeat = repeat_figures(link, segment_bytes)};
}

} // namespace pepsal
