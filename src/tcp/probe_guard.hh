#pragma once

#include "util/socket.hh"

namespace pepsal {

// Keeps BBR from running a satellite leg dry. Every ten seconds BBR sends next to nothing for a round trip or more, to
// measure the path's RTT without its own queue (PROBE_RTT, Cardwell et al., ACM Queue 14(5), 2016). With an RTT of 600
// ms that costs an eighth of the capacity, and a satellite's RTT is known. Selecting the congestion control again
// restarts the ten seconds; a timer of this process does so as long as the guard exists. Each connection has its own
// guard; what it guards must stay open as long.
class ProbeGuard
{
public:
  // Does nothing for sockets that do not use BBR.
  void watch(const TCPSocket& socket);
  bool is_watching() const { return watching_; }

  ProbeGuard() = default;
  ~ProbeGuard();
  ProbeGuard(const ProbeGuard&) = delete;
  ProbeGuard& operator=(const ProbeGuard&) = delete;

private:
  bool watching_{};
};

} // namespace pepsal
