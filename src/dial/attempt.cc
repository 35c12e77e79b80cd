// The socket of one dial, up to its connect(2). Used by proxies, which wait for the result, and by the dialler, which
// has many in progress. A source that is not available is a result; only a lack of descriptors or memory throws.

#include "dial/attempt.hh"

#include <algorithm>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "tcp/listener.hh"
#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

void keep_what_the_ip_header_said(TCPSocket& socket, const SynAttributes& syn, int family)
{
  const bool ipv6 = family == AF_INET6;
  if (const auto dscp = syn.dscp(); dscp != 0) {
    socket.set_traffic_class(dscp);
  }
  if (const int left = syn.ttl - 1; left > 0) { // as this router would have passed it on
    socket.set_option(ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_UNICAST_HOPS : IP_TTL, left, "hop limit");
  }
}

// Sets the sequence number of the next SYN, which connect(2) only chooses if there is none (TCP_REPAIR, as used by
// CRIU). Needs CAP_NET_ADMIN, and must precede SO_REUSEADDR, which it resets.
void set_sequence(TCPSocket& socket, std::uint32_t sequence)
{
  constexpr int repair_off_without_probe = -1; // TCP_REPAIR_OFF_NO_WP, which the C library does not name
  socket.set_option(IPPROTO_TCP, TCP_REPAIR, 1, "TCP_REPAIR");
  socket.set_option(IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, "TCP_REPAIR_QUEUE");
  socket.set_option(IPPROTO_TCP, TCP_QUEUE_SEQ, static_cast<int>(sequence), "TCP_QUEUE_SEQ");
  socket.set_option(IPPROTO_TCP, TCP_REPAIR, repair_off_without_probe, "TCP_REPAIR");
}

} // namespace

PreparedDial prepare_dial(const Config& config, const Connection& connection, const Departure& departure,
                          const DialSource& source, bool clients_sequence)
{
  const int family = SocketAddress{connection.server}.family();
  TCPSocket socket{check("socket", ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  if (clients_sequence) {
    set_sequence(socket, connection.syn.initial_sequence);
  }
  socket.set_mark(departure.mark);
  apply_profile(socket, profile_of(config, departure.link));
  keep_what_the_ip_header_said(socket, connection.syn, family);
  if (config.max_segment_size != 0) {
    socket.set_option(IPPROTO_TCP, TCP_MAXSEG, config.max_segment_size, "TCP_MAXSEG");
  }
  if (source.binding == SourceBinding::own) {
    return {.socket = std::move(socket)};
  }
  socket.set_transparent(family);
  socket.set_option(SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  const SocketAddress address{Endpoint{.address = connection.client.address, .port = source.port}};
  if (::bind(socket.number(), address.get(), address.length()) == -1) {
    return {.socket = {}, .error = EADDRNOTAVAIL};
  }
  return {.socket = std::move(socket)};
}

DialSource source_of(const Connection& connection)
{
  return {.binding = SourceBinding::client_address_and_port, .port = connection.client.port};
}

std::optional<DialSource> next_source(const Connection& connection, const DialSource& taken)
{
  // The ports that bindresvport(3) chooses from; tries a few of those just below the client's.
  constexpr int lowest = 600;
  constexpr int ports = IPPORT_RESERVED - lowest;
  constexpr int most = 16;
  const auto below = [](int port) { return lowest + (std::max(port - lowest, 0) + ports - 1) % ports; };
  switch (taken.binding) {
  case SourceBinding::client_address_and_port:
  case SourceBinding::client_reserved_port:
    if (const int next = below(taken.port), first = below(connection.client.port);
        connection.client.port < IPPORT_RESERVED && (first - next + ports) % ports < most) {
      return DialSource{.binding = SourceBinding::client_reserved_port, .port = static_cast<std::uint16_t>(next)};
    }
    return DialSource{.binding = SourceBinding::client_address, .port = 0};
  case SourceBinding::client_address:
    return own_source;
  case SourceBinding::own:
    break;
  }
  return std::nullopt;
}

bool source_is_at_fault(int error)
{
  return error == EADDRNOTAVAIL;
}

std::optional<std::chrono::milliseconds> pause_for_old_leg(ConnectionTable& table, const Connection& connection,
                                                           Owner self, std::chrono::milliseconds last)
{
  constexpr std::chrono::milliseconds first{1};
  constexpr std::chrono::milliseconds longest{64};
  if (last >= longest || !table.is_served_by_another(connection.client, connection.server, self)) {
    return std::nullopt;
  }
  if (last < first) {
    table.count(Counter::dials_delayed);
  }
  return std::max(first, 2 * last);
}

void note_way(ConnectionTable& table, const Connection& connection, const LegWay& way)
{
  if (!way.astray) {
    return;
  }
  table.count(Counter::dials_astray);
  if (const auto held = table.may_log(LimitedLine::astray, boot_time_now())) {
    log::warning(
        "way changed client={} server={}: ip rules route the client's packets differently from the server leg, "
        "which they do not see; held_back={}",
        connection.client, connection.server, *held);
  }
}

void note_source(ConnectionTable& table, const Connection& connection, SourceBinding source)
{
  if (source == SourceBinding::client_address_and_port) {
    return;
  }
  table.count(Counter::source_ports_changed);
  if (source == SourceBinding::own) {
    table.count(Counter::source_addresses_changed);
  }
  const auto held = table.may_log(LimitedLine::changed_source, boot_time_now()); // clients can cause it at will
  if (!held) {
    return;
  }
  if (source == SourceBinding::own) {
    log::info("source address changed client={} server={}: no port of the client's address is free; held_back={}",
              connection.client, connection.server, *held);
  } else {
    log::info("source port changed client={} server={}: the exact binding is taken; held_back={}", connection.client,
              connection.server, *held);
  }
}

} // namespace pepsal
