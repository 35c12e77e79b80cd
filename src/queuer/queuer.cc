// The queuer's loop: a SYN from the queue to its verdict. Called by the main of pepsal-queuer. Whatever is in a packet,
// it goes on: intercepted, bypassed or untouched.

#include "queuer/queuer.hh"

#include <algorithm>

#include "queuer/census.hh"
#include "queuer/decision.hh"
#include "queuer/packet_queue.hh"
#include "queuer/pending_share.hh"
#include "queuer/syn_parser.hh"
#include "util/log.hh"

namespace pepsal {

namespace {

class Queuer
{
public:
  Queuer(const Marks& marks, ConnectionTable& table, const Header& header, Owner self)
      : marks_{marks}
      , table_{table}
      , header_{header}
      , self_{self}
  {}

  void handle(const QueuedPacket& packet, Verdict verdict)
  {
    table_.count(Counter::packets_queued);
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
    const auto decision = note(*connection);
    table_.count(counter_of(decision));
    const auto value = decision == Decision::intercept ? marks_.intercept() : marks_.bypass();
    verdict.repeat(packet.mark | value);
  }

private:
  static constexpr std::uint32_t shares = 4; // of which SYNs whose connection has not come may take one, for each queue

  // A decided SYN goes round the hook once and is seen by its mark. One that has a mark here was decided before, or the
  // rules look for marks in other bits: repeated again, it would go round for ever.
  void let_marked_go(Verdict verdict)
  {
    table_.count(Counter::syns_marked_already);
    verdict.release();
    if (marked_warning_.allows()) {
      log::warning("SYNs come to the queue that have a mark in this daemon's bits ({:#x}): their rules have another "
                   "--mark-shift, or rules of the site set these bits; they bypass the proxy",
                   marks_.value_mask());
    }
  }

  // The decision, and an entry for what is intercepted.
  Decision note(const Connection& connection)
  {
    const auto decision = decide(connection, header_.draining, header_.overloaded);
    if (decision != Decision::intercept) {
      return decision;
    }
    const auto now = std::chrono::steady_clock::now();
    if (!census_.has_room(connection.client, header_.max_per_client, now)) {
      if (census_.is_news(connection.client, now)) {
        log::warning("client {} has as many connections as one may have ({}, --max-connections-per-client): its new "
                     "connections bypass the proxy; held_back={}",
                     connection.client.address_string(), header_.max_per_client.load(),
                     held_back(Counter::verdicts_bypass_client, client_lines_));
      }
      return Decision::bypass_client;
    }
    ConnectionTable::Pending entry;
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

  // How many SYNs of this kind came since the one that the last line tells of: `told` is the counter's value with that
  // one.
  std::uint64_t held_back(Counter counter, std::uint64_t& told) const
  {
    const auto before = table_.counter(counter);
    const auto result = before - std::min(before, told);
    told = before + 1; // this one is counted when it is decided
    return result;
  }

  const Marks& marks_;
  ConnectionTable& table_;
  const Header& header_;
  Owner self_;
  ClientCensus census_{table_};
  PendingShare waiting_{table_, header_.max_connections / shares};
  log::RateLimit full_warning_{std::chrono::seconds{60}};
  log::RateLimit marked_warning_{std::chrono::seconds{60}};
  std::uint64_t full_lines_{};
  std::uint64_t client_lines_{};
};

} // namespace

void run_queuer(const Marks& marks, ConnectionTable& table, Owner self, std::uint16_t number,
                const std::function<void()>& on_ready)
{
  PacketQueue queue{number};
  Queuer queuer{marks, table, table.header(), self};
  on_ready();
  for (;;) {
    queue.handle_batch(
        [&queuer](const QueuedPacket& packet, Verdict verdict) { queuer.handle(packet, std::move(verdict)); });
  }
}

} // namespace pepsal
