// The queuer's loop: a SYN from the queue to its verdict. Called by the main of pepsal-queuer. Whatever is in a packet,
// it goes on: intercepted, bypassed or untouched.

#include "queuer/queuer.hh"

#include "queuer/decision.hh"
#include "queuer/packet_queue.hh"
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
    switch (table_.insert_pending(connection, self_, boot_time_now())) {
    case ConnectionTable::Insertion::inserted:
      return Decision::intercept;
    case ConnectionTable::Insertion::refreshed:
      table_.count(Counter::syns_refreshed);
      return Decision::intercept;
    case ConnectionTable::Insertion::full:
      break;
    }
    if (full_warning_.allows()) {
      log::warning("the connection table is full ({} entries, --max-connections {}): new connections bypass the proxy",
                   table_.size(), header_.max_connections.load());
    }
    return Decision::bypass_full;
  }

  const Marks& marks_;
  ConnectionTable& table_;
  const Header& header_;
  Owner self_;
  log::RateLimit full_warning_{std::chrono::seconds{60}};
  log::RateLimit marked_warning_{std::chrono::seconds{60}};
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
