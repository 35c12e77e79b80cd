// The closing line of a connection, for its session. Cannot fail: what the kernel does not report is shown as "-".

#include "proxy/closing_line.hh"

#include <algorithm>

#include <fmt/core.h>
#include <sys/ioctl.h>

#include "tcp/tcp_facts.hh"
#include "util/log.hh"

namespace pepsal {

namespace {

ClosingLine::Summary summary_of(const Leg& leg)
{
  if (!leg.socket.is_open()) {
    return {};
  }
  constexpr double microseconds = 1e6;
  const auto facts = tcp_facts(leg.socket);
  return {.rtt = fmt::format("{:.4f}", static_cast<double>(facts.rtt.count()) / microseconds),
          .retransmissions = facts.retransmissions,
          .congestion = leg.socket.congestion()};
}

// Uses an existing socket, where if_indextoname(3) would create one. "-" for an interface that is gone, and for a
// peer's client, whose SYN arrived elsewhere.
std::array<char, IF_NAMESIZE> interface_name(const TCPSocket& socket, std::uint32_t index)
{
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index);
  std::array<char, IF_NAMESIZE> name{"-"};
  if (index != 0 && ::ioctl(socket.number(), SIOCGIFNAME, &request) == 0) {
    std::copy_n(std::begin(request.ifr_name), name.size() - 1, name.begin());
  }
  return name;
}

} // namespace

ClosingLine::ClosingLine(const Leg& client, const Leg& server, const Connection& connection,
                         std::chrono::nanoseconds duration)
    : connection_{connection}
    , duration_{duration}
    , client_{summary_of(client)}
    , server_{summary_of(server)}
    , interface_{interface_name(client.socket, connection.syn.arrival_interface)}
{}

void ClosingLine::write(std::uint64_t up_bytes, std::uint64_t down_bytes, std::string_view reason) const
{
  log::info("closed client={} server={} up={} down={} duration={:.3f} interface={} client_rtt={} client_retrans={} "
            "client_congestion={} server_rtt={} server_retrans={} server_congestion={} reason={}",
            connection_.client, connection_.server, up_bytes, down_bytes, duration_.count(), interface_.data(),
            client_.rtt, client_.retransmissions, client_.congestion, server_.rtt, server_.retransmissions,
            server_.congestion, reason);
}

} // namespace pepsal
