#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

#include "dial/channel.hh"
#include "util/socket.hh"

namespace pepsal {

// The dialler's dials: those in progress, and those that servers have accepted and that wait for their proxies. They
// are found by their ends, by their descriptor while in progress, and by their deadline. The caller provides the clock.
class DialBook
{
public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Dial
  {
    Ends ends;
    TCPSocket socket;
    int queuer{}; // number of its channel, to which the answer goes
    std::uint64_t request{};
    TimePoint deadline;
    bool accepted{};
  };

  // Adds a dial in progress; there must be none with the same ends. References to dials are valid until they are
  // erased.
  Dial& add(Dial dial);

  // The server has accepted; the proxy has until `deadline`.
  void set_accepted(Dial& dial, TimePoint deadline);

  void erase(Dial& dial);

  Dial* find(const Ends& ends);
  Dial* find_connecting(int descriptor);

  std::size_t connecting() const { return connecting_.size(); }
  std::size_t accepted() const { return dials_.size() - connecting_.size(); }

  // A dial whose deadline has passed; it must be erased before the next is asked for.
  Dial* due(TimePoint now);
  // The accepted dial that has waited longest.
  Dial* oldest_accepted();
  // When due() may have something; nothing if there are no dials. May be too early.
  std::optional<TimePoint> next_deadline() const;

private:
  struct Due
  {
    TimePoint at;
    Ends ends;
  };
  using Order = std::deque<Due>; // deadlines do not decrease; some of the dials may be gone

  Dial* first(Order& order);

  std::map<Ends, Dial> dials_;
  std::unordered_map<int, Dial*> connecting_; // by the socket's descriptor
  Order connecting_order_;
  Order accepted_order_;
};

} // namespace pepsal
