// Why a socket is not sending more at the moment, from its tcp_info. Nothing here can fail.

#include "pepsalctl/waiting.hh"

#include <chrono>
#include <string_view>

#include <fmt/core.h>

#include "pepsalctl/text.hh"

namespace pepsal {

const char* waits_for(const SocketFacts& socket)
{
  using namespace std::string_view_literals;
  if (std::string_view{tcp_state_name(socket.state)}.starts_with("syn"sv)) {
    return "handshake";
  }
  if (socket.send_queue == 0) {
    return "application";
  }
  const auto& info = socket.info;
  const auto in_flight = socket.send_queue - std::min(info.tcpi_notsent_bytes, socket.send_queue);
  const bool window_is_full = std::uint64_t{in_flight} + info.tcpi_snd_mss > info.tcpi_snd_wnd;
  return info.tcpi_notsent_bytes > 0 && window_is_full ? "receiver" : "network";
}

// A sender that waits for the receiver or the network has done so since the last acknowledgement, one that has nothing
// to send since the last data.
std::string waiting_text(const SocketFacts& socket)
{
  const auto since = std::chrono::milliseconds{socket.send_queue == 0 ? socket.info.tcpi_last_data_sent
                                                                      : socket.info.tcpi_last_ack_recv};
  return fmt::format("{}, {}", waits_for(socket), short_time(since));
}

} // namespace pepsal
