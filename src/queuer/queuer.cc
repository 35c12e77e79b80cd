// The queuer's policy: which SYNs are intercepted and which go end to end. Called by the manager in a
// process of its own. Whatever is in a packet, it goes on: intercepted, bypassed or untouched.

#include "pepsal/queuer/queuer.hh"

#include <fmt/format.h>

#include "pepsal/queuer/packet_queue.hh"
#include "pepsal/queuer/syn_parser.hh"
#include "pepsal/util/log.hh"
#include "pepsal/util/process.hh"

namespace pepsal {

namespace {

class Queuer
{
public:
  Queuer(const Config& config, ConnectionTable& table, const Header& header, Owner self)
    : config_{config}
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
    const auto value = decision == Counter::verdicts_intercept ? config_.marks.intercept() : config_.marks.bypass();
    verdict.repeat((packet.mark & ~config_.marks.value_mask()) | value);
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
                   table_.size(), config_.max_connections);
    }
    return Counter::verdicts_bypass_full;
  }

  const Config& config_;
  ConnectionTable& table_;
  const Header& header_;
  Owner self_;
  log::RateLimit full_warning_{std::chrono::seconds{60}};
};

} // namespace

void run_queuer(const Config& config, ConnectionTable& table, Owner self, std::uint16_t number,
                const std::function<void()>& on_ready)
{
  set_title(fmt::format("pepsal: queuer (queue {})", number));
  PacketQueue queue{number};
  Queuer queuer{config, table, table.header(), self};
  on_ready();
  for (;;) {
    queue.handle_batch([&queuer](const QueuedPacket& packet, Verdict verdict) { queuer.handle(packet, std::move(verdict)); });
  }
}

} // namespace pepsal
