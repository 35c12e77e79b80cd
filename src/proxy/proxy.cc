// A proxy's process: accepts, finds the original destination, dials and copies both ways, once or --proxy-reuse times.
// Forked and watched by the manager. A failed connection is reset, logged and forgotten; only the loss of the listener
// or of the process itself affects more than one.

#include "proxy/proxy.hh"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "confine/capabilities.hh"
#include "peer/peer_gate.hh"
#include "proxy/destination.hh"
#include "proxy/fast_open.hh"
#include "proxy/retirement.hh"
#include "proxy/server_leg.hh"
#include "proxy/session.hh"
#include "tcp/probe_guard.hh"
#include "tcp/route.hh"
#include "util/log.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

std::string_view name_of(const Link* link)
{
  return link != nullptr ? "satellite" : "terrestrial";
}

void show_title(const Connection& connection, bool hidden)
{
  if (hidden) {
    set_title("pepsal: proxy busy");
    return;
  }
  fmt::memory_buffer title;
  fmt::format_to(std::back_inserter(title), "pepsal: proxy {} -> {}", connection.client, connection.server);
  set_title({title.data(), title.size()});
}

// An accepted socket is bound to its listener's interface by index. If the interface is recreated, its index changes,
// and the connection would receive nothing any more. Without CAP_NET_RAW the socket stays bound.
void unbind_from_interface(int socket)
{
  [[maybe_unused]] const int result = ::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, "", 0);
}

class Proxy
{
public:
  Proxy(ProxyContext context, RouteSocket routes)
      : context_{std::move(context)}
      , routes_{std::move(routes)}
  {}

  int run()
  {
    while (served_ < context_.config.proxy_reuse) {
      set_title("pepsal: proxy idle");
      auto client = accept_client();
      if (!client) {
        break;
      }
      ++served_;
      if (context_.listener.for_peers) {
        serve_peer(std::move(client->socket), client->address);
      } else {
        serve(std::move(client->socket), client->address);
      }
      retirement::set_busy(false);
    }
    return EXIT_SUCCESS;
  }

private:
  struct Client
  {
    TCPSocket socket;
    Endpoint address;
  };

  // The next connection; nothing if this proxy is retired.
  std::optional<Client> accept_client()
  {
    context_.report.show(ProcessState::idle);
    while (retirement::requested() == 0) {
      SocketAddress address;
      const int fd =
          ::accept4(context_.listener.socket.number(), address.get(), &address.length(), SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd != -1) {
        retirement::set_busy(true);
        context_.report.show(ProcessState::busy);
        context_.table.count(Counter::connections_accepted);
        if (!context_.listener.interface.empty()) {
          unbind_from_interface(fd);
        }
        return Client{.socket = TCPSocket{fd}, .address = address.endpoint()};
      }
      if (is_lack_of_resources(errno)) {
        if (accept_warning_.allows()) {
          log::warning("accept: {}: connections wait", std::strerror(errno));
        }
        ::sleep(1);
      } else if (errno == EINVAL || errno == EBADF) {
        return std::nullopt; // the listener is closed
      }
      // Anything else is the error of one connection, which is gone already: accept(2) lists them.
    }
    return std::nullopt;
  }

  void serve(TCPSocket client, const Endpoint& address)
  {
    const auto* const arrival = link_of(context_.listener, context_.config);
    const bool fast_open = arrival != nullptr && context_.config.fastopen;
    const bool is_half_open = fast_open && client.state() == TCP_SYN_RECV;
    if (fast_open && !trust_.is_proved(client, address, reached_by(arrival))) {
      if (const auto held = context_.table.may_log(LimitedLine::unfinished_handshake, boot_time_now())) {
        log::info("refused client={}: Fast Open without a completed handshake; held_back={}", address, *held);
      }
      return;
    }
    if (fast_open && client.has_syn_data()) {
      context_.table.count(Counter::fastopen_accepts);
      if (trust_.is_behind_peer(address, reached_by(arrival))) {
        expect_peer_window(client, *arrival);
      }
    }
    Route route{};
    auto destination = find_destination(
        context_.table, client, address,
        [&](const Endpoint& server) {
          route = route_to(server);
          return route.is_local;
        },
        context_.self, boot_time_now());
    if (!destination) {
      context_.table.count(Counter::direct_connections_refused);
      if (const auto held = context_.table.may_log(LimitedLine::direct_connection, boot_time_now())) {
        log::info("refused client={}: it was not redirected here, or is for this box itself; held_back={}", address,
                  *held);
      }
      --served_; // none of its bytes were read, so this process is as good as new
      return;
    }
    const auto& config = context_.config;
    Session session{context_.table,     std::move(client),      profile_of(config, arrival), destination->connection,
                    destination->claim, config.log_connections, context_.session_memory};
    const bool preserve = config.source == Source::preserve && !destination->redirected;
    const auto way = way_of(destination->connection, route, preserve);
    const auto* const departure = link_of_route(way.route);
    auto leg = dialled_ahead(destination->connection, departure);
    if (!leg) {
      leg = server_leg(destination->connection, session.client(), {.link = departure, .mark = way.mark}, preserve, 0);
    }
    if (!is_connected(*leg, session)) {
      return;
    }
    if (departure != nullptr && leg->origin == ServerLeg::Origin::dialled && leg->socket.has_syn_data()) {
      context_.table.count(Counter::fastopen_dials_accepted);
      if (choose_peer(config.peers.peers, destination->connection.server,
                      reached_by(departure))) { // other servers may support Fast Open, too
        expect_peer_window(leg->socket, *departure);
      }
    }
    session.open(std::move(leg->socket), profile_of(config, departure), leg->first_bytes);
    log::debug("opened client={} ({} leg) server={} ({} leg)", address, name_of(arrival),
               destination->connection.server, name_of(departure));
    show_title(destination->connection, config.hide_connections);
    carry(session, arrival, departure, is_half_open);
  }

  ServerLeg server_leg(const Connection& connection, const TCPSocket& client, Departure departure, bool preserve,
                       std::uint8_t hops)
  {
    if (preserve && !wait_for_old_leg(context_.table, connection, client, context_.self)) {
      return {.end = DialEnd::client_gone};
    }
    const auto peer = departure.link != nullptr
                          ? choose_peer(context_.config.peers.peers, connection.server, reached_by(departure.link))
                          : std::nullopt;
    departure.to_peer = peer.has_value();
    return open_server_leg(context_.config, context_.table, context_.warm_queues, peer, connection, client, departure,
                           preserve, hops);
  }

  // Whether the server leg is there; if not, ends the session.
  static bool is_connected(const ServerLeg& leg, Session& session)
  {
    switch (leg.end) {
    case DialEnd::connected:
      return true;
    case DialEnd::failed:
      session.fail(failure_counter(leg.reason), leg.reason);
      break;
    case DialEnd::client_gone:
      session.fail(Counter::connections_reset, "reset-by-client");
      break;
    }
    return false;
  }

  // The leg that the dialler has ready, with --connect honest. It dials nothing across a link.
  std::optional<ServerLeg> dialled_ahead(const Connection& connection, const Link* departure) const
  {
    if (!context_.handover || departure != nullptr) {
      return std::nullopt;
    }
    auto socket = context_.handover->take(ends_of(connection));
    return socket ? std::optional{ServerLeg{.end = DialEnd::connected, .socket = std::move(*socket)}} : std::nullopt;
  }

  // A far proxy: admits a peer, waits for its client, dials for that client and answers how the dial went.
  void serve_peer(TCPSocket peer, const Endpoint& address)
  {
    const auto& config = context_.config;
    const auto* const arrival = link_of(context_.listener, config);
    context_.report.show(ProcessState::waiting); // their number is limited, whoever connects
    PeerGate gate{config, arrival, context_.peer_key, context_.table, retirement::requested(), SIGTERM};
    const auto header = gate.admit(peer, address, [&] {
      retirement::set_busy(false); // it may end now
      set_title(fmt::format("pepsal: proxy waiting for peer {}", address.address_string()));
    });
    retirement::set_busy(true);
    context_.report.show(ProcessState::busy);
    if (!header ||
        !gate.allows(*header, peer, address, [this](const auto& endpoint) { return route_to(endpoint).is_local; })) {
      return;
    }
    Connection connection{.client = header->client, .server = header->server, .syn = {}};
    connection.syn.traffic_class = header->traffic_class;
    const auto claim = context_.table.insert_connecting(connection, context_.self, boot_time_now());
    context_.table.count(Counter::warm_connections_served);
    apply_profile(peer, profile_of(config, arrival)); // in place of the idle connection's settings
    Session session{context_.table, std::move(peer),        profile_of(config, arrival), connection,
                    claim,          config.log_connections, context_.session_memory};
    const auto* const departure = link_of_route(route_to(connection.server));
    auto leg = server_leg(connection, session.client(), {.link = departure, .mark = config.marks.server_leg()},
                          config.source == Source::preserve, header->hops);
    if (leg.end == DialEnd::failed) {
      send_last_answer(session.client(), {.kind = PeerAnswer::Kind::dial_failed, .error = leg.error});
    }
    if (!is_connected(leg, session)) {
      return;
    }
    send_answer(session.client(), {.kind = PeerAnswer::Kind::connected});
    session.open(std::move(leg.socket), profile_of(config, departure), leg.first_bytes);
    show_title(connection, config.hide_connections);
    carry(session, arrival, departure, false);
  }

  // A link whose rates are known has its queue in the box (pepsal-satlink), where BBR must not drain it.
  void carry(Session& session, const Link* arrival, const Link* departure, bool is_half_open)
  {
    ProbeGuard guard;
    if (arrival != nullptr && arrival->has_rates()) {
      guard.watch(session.client());
    }
    if (departure != nullptr && departure->has_rates()) {
      guard.watch(session.server());
    }
    if (served_ == context_.config.proxy_reuse) {
      give_up_all_but_copying(guard.is_watching());
    }
    if (is_half_open) {
      session.expect_handshake();
    }
    session.run();
  }

  // From here on the process can accept no other connection, take no leg from others, ask for no route and bind
  // no address but the box's own.
  void give_up_all_but_copying(bool paced)
  {
    retirement::forget_listener();
    context_.listener.socket.close();
    context_.report.give_up_waking();
    context_.warm_queues.clear();
    context_.handover.reset();
    routes_.reset();
    context_.confinement.enter(paced ? Role::paced_session : Role::session);
  }

  LegWay way_of(const Connection& connection, const Route& own, bool preserve)
  {
    const auto way = way_of_server_leg(*routes_, context_.config.marks, own, connection.client, connection.server,
                                       connection.syn.arrival_interface, preserve);
    note_way(context_.table, connection, way);
    return way;
  }

  Route route_to(const Endpoint& server) const { return routes_->find(server, context_.config.marks.server_leg()); }

  // The link that a route leaves by; nullptr for the terrestrial side.
  const Link* link_of_route(const Route& route) const
  {
    const auto& links = context_.config.links;
    return links.empty() ? nullptr : find_link(links, routes_->name_of_interface(route.interface));
  }

  // Selects the peers across this link. If there is only one link, that is all of them.
  PeerFilter reached_by(const Link* link) const
  {
    if (context_.config.links.size() == 1) {
      return {};
    }
    return [this, link](const Peer& peer) { return link_of_route(routes_->find(peer.address, 0)) == link; };
  }

  ProxyContext context_;
  std::optional<RouteSocket> routes_;
  FastOpenTrust trust_{context_.config, context_.table};
  std::uint32_t served_{}; // connections, including the current one
  log::RateLimit accept_warning_{std::chrono::seconds{60}};
};

} // namespace

int run_proxy(ProxyContext context)
{
  retirement::prepare({.manager = context.manager,
                       .listener = context.listener.socket.number(),
                       .table_memory = context.table_memory,
                       .self = context.self});
  auto routes = open_without_capabilities<RouteSocket>();
  context.confinement.enter(Role::proxy);
  return Proxy{std::move(context), std::move(routes)}.run();
}

} // namespace pepsal
