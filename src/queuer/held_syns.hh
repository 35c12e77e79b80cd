#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>

#include "dial/channel.hh"
#include "queuer/census.hh"
#include "queuer/packet_queue.hh"
#include "shared/connection_table.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// SYNs that wait for their servers' answers, with --connect honest. The dialler is asked through a socket, and each SYN
// waits four seconds at most. The number that may wait is bounded, in total and for each client (as in ClientCensus).
// Everything is found by key. The caller provides the clock.
class HeldSyns
{
public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::size_t most = 1024;
  static constexpr std::size_t most_of_a_client = most / 4;

  struct Held
  {
    Verdict verdict;
    std::uint32_t mark; // of the packet
    Connection connection;
    ConnectionTable::Pending entry;
  };

  enum class Outcome
  {
    intercept,
    refused,   // by the server, or it does not answer
    not_served // too many wait, or there is no dialler to ask
  };
  using Settle = std::function<void(Held, Outcome)>;

  // `dialler` is the queuer's end of a DialChannel.
  explicit HeldSyns(FileDescriptor dialler);

  // If a client has sent its SYN again while it waits, the newer packet replaces the older one, which is dropped.
  // Otherwise the caller keeps the verdict.
  bool replace(const Connection& connection, Verdict& verdict, std::uint32_t mark);

  // Whether the server has just refused, in which case the client's retransmissions pass at once.
  bool was_refused(const Connection& connection, Time now);

  // Asks the dialler; if it cannot, returns false, and the caller keeps `held`.
  bool hold(Held& held, Time now);

  // Handles the dialler's answers, and SYNs that have waited too long.
  void settle(Time now, const Settle& settle);

  // Readable when the dialler has answered; -1: it never will again.
  int descriptor() const { return dialler_.number(); }
  // When the next SYN will have waited too long.
  std::optional<Time> deadline() const;
  std::size_t size() const { return held_.size(); }

private:
  using Number = std::uint64_t;

  void obey(const DialAnswer& answer, Time now, const Settle& settle);
  void give(Number number, Outcome outcome, const Settle& settle);
  void give_all(const Settle& settle);
  void remember_refusal(const Connection& connection, Time now);
  void forget_refusals(Time now);

  FileDescriptor dialler_;
  Number generation_{};         // of the dialler; 0: there is none
  Number next_number_;          // never one used by an earlier queuer, whose answers may still arrive
  std::map<Number, Held> held_; // in order of arrival
  std::map<Ends, Number> numbers_;
  std::deque<std::pair<Time, Number>> deadlines_; // some of them are settled already
  std::unordered_map<ClientCensus::Key, std::size_t> of_client_;
  std::map<Ends, Time> refused_; // until when
  std::deque<std::pair<Time, Ends>> refusals_;
};

} // namespace pepsal
