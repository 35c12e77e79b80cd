#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <net/if.h>

#include "pepsal/connection.hh"
#include "proxy/leg.hh"

namespace pepsal {

// What the log says about a connection that has ended. Read from both legs while they are open; written after they are
// closed, so that nobody waits for the log.
class ClosingLine
{
public:
  // What is reported about a leg; for one that was never established, "-".
  struct Summary
  {
    std::string rtt{"-"}; // smoothed, in seconds
    std::uint32_t retransmissions{};
    std::string congestion{"-"};
  };

  ClosingLine(const Leg& client, const Leg& server, const Connection& connection, std::chrono::nanoseconds duration);

  const Summary& client() const { return client_; }
  const Summary& server() const { return server_; }

  void write(std::uint64_t up_bytes, std::uint64_t down_bytes, std::string_view reason) const;

private:
  Connection connection_;
  std::chrono::duration<double> duration_;
  Summary client_;
  Summary server_;
  std::array<char, IF_NAMESIZE> interface_; // where the client's SYN arrived
};

} // namespace pepsal
