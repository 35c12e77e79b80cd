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

// SYNs that wait for what their servers say, with --connect honest. The dialler is asked by a socket, and each SYN
// waits four seconds at most. How many may wait is bounded, for all and for each client (as ClientCensus has it); all
// else is found by its key. The clock is the caller's.
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
    not_served // too many wait, or nobody is there to ask
  };
  using Settle = std::function<void(Held, Outcome)>;

  // `dialler` is a queuer's end of a DialChannel.
  explicit HeldSyns(FileDescriptor dialler);

  // A client that has sent its SYN again while it waits: the newer packet takes the older one's place, which is
  // dropped. The verdict stays the caller's when it is not so.
  bool replace(const Connection& connection, Verdict& verdict, std::uint32_t mark);

  // Whether the server has not accepted a moment ago, in which case the client's repeats pass at once.
  bool was_refused(const Connection& connection, Time now);

  // Asks the dialler; false, and `held` stays the caller's, when it cannot.
  bool hold(Held& held, Time now);

  // What the dialler has said, and who has waited too long.
  void settle(Time now, const Settle& settle);

  // Readable when the dialler has said something; -1: it never will again.
  int descriptor() const { return dialler_.number(); }
  // When the next one will have waited too long.
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
  Number generation_{};         // of the dialler; 0: none is there
  Number next_number_;          // never one of a queuer before this, whose answers may still come
  std::map<Number, Held> held_; // in the order of their coming
  std::map<Ends, Number> numbers_;
  std::deque<std::pair<Time, Number>> deadlines_; // of some that are settled, too
  std::unordered_map<ClientCensus::Key, std::size_t> of_client_;
  std::map<Ends, Time> refused_; // until when
  std::deque<std::pair<Time, Ends>> refusals_;
};

} // namespace pepsal
