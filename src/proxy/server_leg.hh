#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/config.hh"
#include "peer/warm_queue.hh"
#include "proxy/dial.hh"
#include "shared/connection_table.hh"
#include "util/socket.hh"

namespace pepsal {

// A server leg, and how many of the client's bytes it has taken.
struct ServerLeg
{
  enum class Origin
  {
    dialled,
    warm // a peer's warm connection
  };

  DialEnd end;
  TCPSocket socket{};          // when connected
  std::uint64_t first_bytes{}; // taken from the client's socket and sent
  Origin origin{};
  std::string reason{};  // for the closing line, when failed
  std::uint16_t error{}; // errno, when failed; 0 when there is none
};

// Opens the server leg of `connection` for its client's accepted socket: over a warm connection of `peer`, behind which
// the server lies, if `departure` has the link that leads there and one is ready; otherwise by dial(). `queues` are
// indexed by peer, `hops` is how many warm connections the client's bytes have crossed. Throws as dial() does.
ServerLeg open_server_leg(const Config& config, ConnectionTable& table, std::span<WarmQueue> queues,
                          const std::optional<std::size_t>& peer, const Connection& connection, const TCPSocket& client,
                          const Departure& departure, bool preserve_source, std::uint8_t hops);

// The counter for a leg that has failed, by its reason, whether on this box or on its peer.
Counter failure_counter(std::string_view reason);

} // namespace pepsal
