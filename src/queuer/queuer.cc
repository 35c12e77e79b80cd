// The queuer's loop: a SYN from the queue to its verdict. Called by the main of pepsal-queuer. Whatever is in a packet,
// it moves on: intercepted, bypassed or untouched.

#include "queuer/queuer.hh"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include <poll.h>

#include "queuer/census.hh"
#include "queuer/decision.hh"
#include "queuer/half_open.hh"
#include "queuer/held_syns.hh"
#include "queuer/packet_queue.hh"
#include "queuer/pending_share.hh"
#include "queuer/syn_parser.hh"
#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

class Queuer
{
public:
  Queuer(const Marks& marks, ConnectionTable& table, const Header& header, Owner self, FileDescriptor dialler)
      : marks_{marks}
      , table_{table}
      , header_{header}
      , self_{self}
  {
    if (dialler.is_open()) {
      held_.emplace(std::move(dialler));
    }
  }

  void handle(const QueuedPacket& packet, Verdict verdict)
  {
    if (packet.is_delivered) {
      note_traffic_class(packet);
      verdict.release();
      return;
    }
    table_.count(Counter::packets_queued); // from which a flood is recognised
    auto connection = parse_syn(packet.bytes);
    if (!connection) {
      table_.count(Counter::packets_malformed);
      verdict.release();
      return;
    }
    connection->syn.arrival_interface = packet.arrival_interface;
    if ((packet.mark & marks_.value_mask()) != 0) {
      let_marked_go(std::move(verdict));
      return;
    }
    if (held_ && held_->replace(*connection, verdict, packet.mark)) {
      table_.count(Counter::syns_refreshed);
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    ConnectionTable::Pending entry;
    const bool refused = held_ && held_->was_refused(*connection, now);
    const auto decision = refused ? Decision::bypass_server : note(*connection, now, entry);
    if (!held_ || decision != Decision::intercept) {
      give(verdict, packet.mark, decision);
      return;
    }
    HeldSyns::Held held{.verdict = std::move(verdict), .mark = packet.mark, .connection = *connection, .entry = entry};
    if (!held_->hold(held, now)) {
      table_.displace(entry);
      give(held.verdict, packet.mark, Decision::bypass_waiting);
    }
  }

  HeldSyns* held() { return held_ ? &*held_ : nullptr; }

  // Gives the verdicts of SYNs that have waited for their servers.
  void settle_held()
  {
    held_->settle(std::chrono::steady_clock::now(),
                  [this](HeldSyns::Held held, HeldSyns::Outcome outcome) { settle(held, outcome); });
  }

private:
  static constexpr std::uint32_t shares = 4; // SYNs whose connection has not come may take one, for each queue

  // For an existing connection: the packet reaches its socket only when its proxy can know the DSCP.
  void note_traffic_class(const QueuedPacket& packet)
  {
    const auto segment = parse_segment(packet.bytes);
    if (segment && table_.note_traffic_class(segment->source, segment->destination, segment->traffic_class)) {
      table_.count(Counter::dscp_changes);
    }
  }

  void give(Verdict& verdict, std::uint32_t mark, Decision decision)
  {
    table_.count(counter_of(decision));
    verdict.repeat(mark | (decision == Decision::intercept ? marks_.intercept() : marks_.bypass()));
  }

  void settle(HeldSyns::Held& held, HeldSyns::Outcome outcome)
  {
    if (outcome == HeldSyns::Outcome::intercept) {
      // Its connection comes only now. It works even without room for a new entry: the kernel knows its ends.
      ConnectionTable::Pending entry;
      if (table_.insert_pending(held.connection, self_, boot_time_now(), entry) != ConnectionTable::Insertion::full) {
        table_.count(Counter::pending_displaced, waiting_.add(entry) ? 1 : 0);
      }
      give(held.verdict, held.mark, Decision::intercept);
      return;
    }
    table_.displace(held.entry);
    give(held.verdict, held.mark,
         outcome == HeldSyns::Outcome::refused ? Decision::bypass_server : Decision::bypass_waiting);
  }

  // A SYN with a verdict traverses the hook once more and is recognised by its mark. One that arrives here with a mark
  // was decided before, or the rules look for marks in other bits: if it were repeated, it would loop forever.
  void let_marked_go(Verdict verdict)
  {
    table_.count(Counter::syns_marked_already);
    verdict.release();
    if (marked_warning_.allows()) {
      log::warning("SYNs reach the queue with this daemon's mark bits already set ({:#x}): their rules have another "
                   "--mark-shift, or the site's own rules set these bits; they bypass the proxy",
                   marks_.value_mask());
    }
  }

  // Makes the decision, and an entry for what is intercepted.
  Decision note(const Connection& connection, std::chrono::steady_clock::time_point now,
                ConnectionTable::Pending& entry)
  {
    const auto decision = decide(connection, header_.draining, header_.overloaded);
    if (decision != Decision::intercept) {
      return decision;
    }
    // Both sides open the same connection at the same time (RFC 9293 section 3.5). The leg that is dialled for the
    // first SYN meets the second side's SYN, so the box must not answer that one as well.
    if (table_.has(connection.server, connection.client)) {
      return Decision::bypass_crossing;
    }
    if (!census_.has_room_to_wait(connection.client, now)) {
      if (census_.is_news(connection.client, now)) {
        log::warning("client {} has {} unfinished handshakes: its new connections bypass the proxy; held_back={}",
                     connection.client.address_string(), ClientCensus::most_waiting,
                     held_back(Counter::verdicts_bypass_client, client_lines_));
      }
      return Decision::bypass_client;
    }
    if (!census_.has_room(connection.client, header_.max_per_client, now)) {
      if (census_.is_news(connection.client, now)) {
        log::warning("client {} has reached its limit of connections ({}, --max-connections-per-client): its new "
                     "connections bypass the proxy; held_back={}",
                     connection.client.address_string(), header_.max_per_client.load(),
                     held_back(Counter::verdicts_bypass_client, client_lines_));
      }
      return Decision::bypass_client;
    }
    if (!half_open_.has_room(now)) {
      if (flood_warning_.allows()) {
        log::warning("{} handshakes are unfinished, as in a SYN flood: new connections bypass the proxy; held_back={}",
                     HalfOpen::most, held_back(Counter::verdicts_bypass_waiting, flood_lines_));
      }
      return Decision::bypass_waiting;
    }
    auto insertion = table_.insert_pending(connection, self_, boot_time_now(), entry);
    if (insertion == ConnectionTable::Insertion::full && waiting_.displace_oldest()) {
      table_.count(Counter::pending_displaced);
      insertion = table_.insert_pending(connection, self_, boot_time_now(), entry);
    }
    switch (insertion) {
    case ConnectionTable::Insertion::inserted:
      census_.add(connection.client);
      table_.count(Counter::pending_displaced, waiting_.add(entry) ? 1 : 0);
      return Decision::intercept;
    case ConnectionTable::Insertion::refreshed:
      table_.count(Counter::syns_refreshed);
      table_.count(Counter::pending_displaced, waiting_.add(entry) ? 1 : 0);
      return Decision::intercept;
    case ConnectionTable::Insertion::full:
      break;
    }
    if (full_warning_.allows()) {
      log::warning("the connection table is full ({} entries, --max-connections {}): new connections bypass the proxy; "
                   "held_back={}",
                   table_.size(), header_.max_connections.load(),
                   held_back(Counter::verdicts_bypass_full, full_lines_));
    }
    return Decision::bypass_full;
  }

  // How many SYNs of this kind have come since the one that was last logged; `told` is the value of the counter at that
  // time.
  std::uint64_t held_back(Counter counter, std::uint64_t& told) const
  {
    const auto before = table_.counter(counter);
    const auto result = before - std::min(before, told);
    told = before + 1; // this one is counted once it is decided
    return result;
  }

  const Marks& marks_;
  ConnectionTable& table_;
  const Header& header_;
  Owner self_;
  ClientCensus census_{table_};
  std::optional<HeldSyns> held_; // with --connect honest
  PendingShare waiting_{table_, header_.max_connections / shares};
  HalfOpen half_open_{table_};
  log::RateLimit flood_warning_{std::chrono::seconds{60}};
  log::RateLimit full_warning_{std::chrono::seconds{60}};
  log::RateLimit marked_warning_{std::chrono::seconds{60}};
  std::uint64_t flood_lines_{};
  std::uint64_t full_lines_{};
  std::uint64_t client_lines_{};
};

// Waits until there is a packet (true), or something to settle.
bool wait_for_packets(const PacketQueue& queue, const HeldSyns& held)
{
  int timeout = -1;
  if (const auto deadline = held.deadline()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
    timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }
  std::array<pollfd, 2> watched{pollfd{.fd = queue.descriptor(), .events = POLLIN, .revents = 0},
                                pollfd{.fd = held.descriptor(), .events = POLLIN, .revents = 0}};
  if (::poll(watched.data(), watched.size(), timeout) == -1 && errno != EINTR) {
    throw SystemError{errno, "poll"};
  }
  return watched[0].revents != 0;
}

} // namespace

void run_queuer(const Marks& marks, ConnectionTable& table, Owner self, std::uint16_t number, FileDescriptor dialler,
                const std::function<void()>& on_ready)
{
  PacketQueue queue{number};
  Queuer queuer{marks, table, table.header(), self, std::move(dialler)};
  on_ready();
  const auto handle = [&queuer](const QueuedPacket& packet, Verdict verdict) {
    queuer.handle(packet, std::move(verdict));
  };
  for (;;) {
    if (auto* const held = queuer.held(); held == nullptr || wait_for_packets(queue, *held)) {
      queue.handle_batch(handle);
    }
    if (queuer.held() != nullptr) {
      queuer.settle_held();
      queue.send_verdicts();
    }
  }
}

} // namespace pepsal
