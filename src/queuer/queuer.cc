// The queuer's policy: which SYNs are intercepted and which go end to end. Called by the
// main of pepsal-queuer. Whatever is in a packet, it goes on: intercepted, bypassed or untouched.

#include "queuer/queuer.hh"

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
    const auto decision = decide(*connection);
    table_.count(decision);
    const auto value = decision == Counter::verdicts_intercept ? marks_.intercept() : marks_.bypass();
    verdict.repeat((packet.mark & ~marks_.value_mask()) | value);
  }

private:
  Counter decide(const Connection& connection)
  {
    if (header_.draining) {
      return Counter::verdicts_bypass_draining;
    }
    if (header_.overloaded) {
      return Counter::verdicts_bypass_overloaded;
    }
    switch (table_.insert_pending(connection, self_, boot_time_now())) {
    case ConnectionTable::Insertion::inserted:
      return Counter::verdicts_intercept;
    case ConnectionTable::Insertion::refreshed:
      table_.count(Counter::syns_refreshed);
      return Counter::verdicts_intercept;
    case ConnectionTable::Insertion::full:
      break;
    }
    if (full_warning_.allows()) {
      log::warning("the connection table is full ({} entries, --max-connections {}): new connections bypass the proxy",
                   table_.size(), header_.max_connections.load());
    }
    return Counter::verdicts_bypass_full;
  }

  const Marks& marks_;
  ConnectionTable& table_;
  const Header& header_;
  Owner self_;
  log::RateLimit full_warning_{std::chrono::seconds{60}};
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
