// The dialler: dials servers before their clients' handshakes. Forked and watched by the manager. A failed dial is an
// answer, and so is a lack of descriptors. If it dies, no connection is lost: queuers let the SYNs that they hold pass.

#include "dial/dialler.hh"

#include <algorithm>
#include <array>
#include <chrono>

#include <csignal>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "confine/capabilities.hh"
#include "dial/attempt.hh"
#include "dial/dial_book.hh"
#include "tcp/route.hh"
#include "util/log.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;

// A lost SYN is sent again after one second (RFC 6298 section 2.1); a client's third one follows after three.
constexpr auto patience = std::chrono::milliseconds{2500};
constexpr auto keep_accepted = std::chrono::seconds{5}; // for a handshake over a satellite, with one retransmission

// The limit on dials in progress, and equally on those that wait for their proxies.
std::size_t most_dials()
{
  constexpr std::size_t most = 1024;
  constexpr std::size_t others = 64 + 64; // a channel for each queuer, and the rest
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur == RLIM_INFINITY) {
    return most;
  }
  return std::clamp<std::size_t>((std::max<std::size_t>(limit.rlim_cur, others) - others) / 2, 1, most);
}

// A request of a client whose previous connection with the same ends has not ended yet.
struct Postponed
{
  DialRequest request;
  int queuer;
  std::chrono::milliseconds pause; // the last one
};

class Dialler
{
public:
  Dialler(DiallerContext context, RouteSocket routes)
      : context_{context}
      , routes_{std::move(routes)}
      , generation_{static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())}
      , most_{most_dials()}
      , epoll_{check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))}
  {}

  int run()
  {
    watch(signals_.number(), EPOLLIN);
    watch(context_.proxies.dialler_end(), EPOLLIN);
    for (const auto& queuer : context_.queuers) {
      while (receive_request(queuer.dialler_end())) { // these were for an earlier dialler
      }
      watch(queuer.dialler_end(), EPOLLIN);
      answer(queuer.dialler_end(), DialAnswer::Kind::ready, generation_);
    }
    context_.confinement.enter(Role::dialler);
    for (;;) {
      std::array<epoll_event, 64> events{};
      const int count =
          ::epoll_wait(epoll_.number(), events.data(), static_cast<int>(events.size()), milliseconds_to_wait());
      if (count == -1 && errno != EINTR) {
        throw SystemError{errno, "epoll_wait"};
      }
      for (int i = 0; i < count; ++i) {
        if (events.at(static_cast<std::size_t>(i)).data.fd == signals_.number()) {
          return EXIT_SUCCESS;
        }
        handle(events.at(static_cast<std::size_t>(i)).data.fd);
      }
      expire(Clock::now());
    }
  }

private:
  using Dial = DialBook::Dial;

  void watch(int descriptor, std::uint32_t what) const
  {
    epoll_event event{.events = what, .data = {.fd = descriptor}};
    check("epoll_ctl", ::epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, descriptor, &event));
  }

  void handle(int descriptor)
  {
    if (auto* const dial = dials_.find_connecting(descriptor)) {
      settle(*dial);
    } else if (descriptor == context_.proxies.dialler_end()) {
      while (const auto demand = context_.proxies.next()) {
        hand_over(*demand);
      }
    } else if (std::any_of(context_.queuers.begin(), context_.queuers.end(),
                           [descriptor](const auto& queuer) { return queuer.dialler_end() == descriptor; })) {
      // One at a time, so that dials that have ended and waiting proxies get their turn in between.
      if (const auto request = receive_request(descriptor)) {
        take(*request, descriptor);
      }
    }
  }

  static void answer(int queuer, DialAnswer::Kind kind, std::uint64_t number)
  {
    send_object(queuer, DialAnswer{.kind = kind, .number = number}); // if this fails, the queuer's own patience ends
  }

  // --- requests

  void take(const DialRequest& request, int queuer)
  {
    if (request.generation == 0) { // a new queuer asks whether there is a dialler
      answer(queuer, DialAnswer::Kind::ready, generation_);
    } else if (request.generation == generation_) {
      consider({.request = request, .queuer = queuer, .pause = {}});
    }
  }

  void consider(Postponed wanted)
  {
    if (const auto pause = pause_for_old_leg(context_.table, wanted.request.connection, no_owner, wanted.pause)) {
      wanted.pause = *pause;
      postponed_.emplace(Clock::now() + *pause, wanted);
    } else if (const auto kind = begin(wanted.request, wanted.queuer)) {
      answer(wanted.queuer, *kind, wanted.request.number);
    }
  }

  // The answer, if it can be given at once.
  std::optional<DialAnswer::Kind> begin(const DialRequest& request, int queuer)
  {
    const auto ends = ends_of(request.connection);
    if (auto* const dial = dials_.find(ends)) { // its queuer was lost, or this is a new client
      dial->queuer = queuer;
      dial->request = request.number;
      return dial->accepted ? std::optional{DialAnswer::Kind::accepted} : std::nullopt;
    }
    if (dials_.connecting() >= most_) {
      return DialAnswer::Kind::no_room;
    }
    try {
      const auto way = way_of(request.connection);
      if (!is_dialled_ahead(way)) {
        return DialAnswer::Kind::not_asked;
      }
      auto prepared = connect(request.connection, way.mark);
      if (prepared.error != 0) {
        return DialAnswer::Kind::failed; // its socket is gone
      }
      context_.table.count(Counter::dials_ahead);
      watch(prepared.socket.number(), EPOLLOUT);
      dials_.add({.ends = ends,
                  .socket = std::move(prepared.socket),
                  .queuer = queuer,
                  .request = request.number,
                  .deadline = Clock::now() + std::min<Clock::duration>(patience, context_.config.connect_timeout)});
      return std::nullopt;
    } catch (const SystemError& error) {
      if (trouble_warning_.allows()) {
        log::warning("dialler: {}: connections bypass the proxy", error.what());
      }
      return DialAnswer::Kind::no_room;
    }
  }

  // Not for what a proxy must refuse, and not across a satellite, where asking costs the client a round trip: there the
  // other box asks.
  bool is_dialled_ahead(const LegWay& way) const
  {
    const auto& links = context_.config.links;
    return !way.route.is_local &&
           (links.empty() || find_link(links, routes_.name_of_interface(way.route.interface)) == nullptr);
  }

  LegWay way_of(const Connection& connection)
  {
    const auto& marks = context_.config.marks;
    return way_of_server_leg(routes_, marks, routes_.find(connection.server, marks.server_leg()), connection.client,
                             connection.server, connection.syn.arrival_interface, preserves(connection.server));
  }

  PreparedDial connect(const Connection& connection, std::uint32_t mark)
  {
    if (!preserves(connection.server)) {
      return connect_from(connection, mark, own_source);
    }
    auto source = source_of(connection);
    for (;;) {
      auto prepared = connect_from(connection, mark, source);
      const auto next = source_is_at_fault(prepared.error) ? next_source(connection, source) : std::nullopt;
      if (!next) {
        note_source(context_.table, connection, source.binding);
        return prepared;
      }
      source = *next;
    }
  }

  PreparedDial connect_from(const Connection& connection, std::uint32_t mark, const DialSource& source) const
  {
    // If the server does not accept in time, the client's own SYN follows: for connection tracking and for the server,
    // which may answer late, it must look like a retransmission of this one.
    auto prepared = prepare_dial(context_.config, connection, {.link = nullptr, .mark = mark}, source,
                                 source.binding == SourceBinding::client_address_and_port);
    const SocketAddress server{connection.server};
    if (prepared.socket.is_open() && ::connect(prepared.socket.number(), server.get(), server.length()) == -1 &&
        errno != EINPROGRESS) {
      prepared.error = errno;
      prepared.socket.close();
    }
    return prepared;
  }

  bool preserves(const Endpoint& server)
  {
    return context_.config.source == Source::preserve && keeps_addresses(server);
  }

  // Under TPROXY rules, packets to an address that is not this machine's are routed into it by their mark. Under
  // REDIRECT, answers to a client's address would go to the client.
  bool keeps_addresses(const Endpoint& server)
  {
    auto& known = server.is_ipv4() ? tproxy4_ : tproxy6_;
    if (const auto now = Clock::now(); now >= known.until) {
      known = {.until = now + std::chrono::seconds{1},
               .holds = routes_.find(server, context_.config.marks.returned()).is_local};
    }
    return known.holds;
  }

  // --- results of dials

  void settle(Dial& dial)
  {
    if (dial.socket.take_error() != 0) {
      fail(dial);
      return;
    }
    if (dial.socket.state() == TCP_SYN_SENT) {
      return; // the event was for an earlier socket with this descriptor
    }
    unwatch(dial);
    dials_.set_accepted(dial, Clock::now() + keep_accepted);
    answer(dial.queuer, DialAnswer::Kind::accepted, dial.request);
    if (dials_.accepted() > most_) {
      drop(*dials_.oldest_accepted()); // if its client still comes, its proxy dials
    }
  }

  // The socket goes first: once the queuer knows, the client's own SYN follows.
  void fail(Dial& dial)
  {
    const auto queuer = dial.queuer;
    const auto request = dial.request;
    drop(dial);
    answer(queuer, DialAnswer::Kind::failed, request);
  }

  void hand_over(const LegHandover::Demand& demand)
  {
    auto* const dial = dials_.find(demand.ends);
    if (dial != nullptr && dial->accepted) {
      LegHandover::give(demand, dial->socket.number());
      context_.table.count(Counter::dials_ahead_used);
      drop(*dial);
      return;
    }
    if (dial != nullptr) { // the proxy dials, and needs the source
      fail(*dial);
    }
    LegHandover::give(demand, -1);
  }

  // Closes this process's descriptor, which resets the connection if nobody else has it (linger 0 in the profile).
  void drop(Dial& dial)
  {
    if (!dial.accepted) {
      unwatch(dial);
    }
    dials_.erase(dial);
  }

  void unwatch(const Dial& dial) const { ::epoll_ctl(epoll_.number(), EPOLL_CTL_DEL, dial.socket.number(), nullptr); }

  void expire(Clock::time_point now)
  {
    while (!postponed_.empty() && postponed_.begin()->first <= now) {
      consider(postponed_.extract(postponed_.begin()).mapped());
    }
    while (auto* const dial = dials_.due(now)) {
      if (dial->accepted) {
        drop(*dial);
      } else {
        fail(*dial);
      }
    }
  }

  int milliseconds_to_wait() const
  {
    auto next = dials_.next_deadline();
    if (!postponed_.empty()) {
      next = std::min(next.value_or(Clock::time_point::max()), postponed_.begin()->first);
    }
    if (!next) {
      return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
  }

  struct KeepsAddresses
  {
    Clock::time_point until;
    bool holds;
  };

  DiallerContext context_;
  RouteSocket routes_;
  SignalDescriptor signals_{SIGTERM};
  std::uint64_t generation_; // which tells requests to an earlier dialler apart
  std::size_t most_;
  FileDescriptor epoll_;
  DialBook dials_;
  std::multimap<Clock::time_point, Postponed> postponed_; // by the time at which they are considered again
  KeepsAddresses tproxy4_{};
  KeepsAddresses tproxy6_{};
  log::RateLimit trouble_warning_{std::chrono::seconds{60}};
};

} // namespace

int run_dialler(DiallerContext context)
{
  die_with_parent(context.manager, SIGKILL);
  unblock_signals();
  set_title("pepsal: dialler");
  return Dialler{context, open_without_capabilities<RouteSocket>()}.run();
}

} // namespace pepsal
