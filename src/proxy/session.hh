#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <poll.h>

#include "proxy/copy.hh"
#include "shared/connection_table.hh"
#include "util/socket.hh"

namespace pepsal {

// One proxied connection: its two sockets, its slot in the table if it has one, its byte counts.
// A connection that ends well is closed here and leaves the process fit for another; one that breaks
// ends the process, because only the death of both threads lets go of both sockets at once.
class Session
{
public:
  // What ends when a connection has ended well. The thread that ends it need not wake the other one
  // only to end the process.
  enum class End
  {
    connection,
    process
  };

  enum class Way
  {
    up,  // client to server
    down // server to client
  };

  enum class Stage
  {
    opening,
    whole // there is no second thread to be had
  };

  // How the copying goes on after an exchange.
  struct Turn
  {
    Way way;    // which way this thread is to copy next
    bool ended; // its source has ended; otherwise the other way needs a thread too
  };

  Session(ConnectionTable& table, TCPSocket client, const Connection& connection,
          std::optional<ConnectionTable::Claim> claim, End end);

  // The server leg is established, and has carried the client's first bytes already.
  void open(TCPSocket server, std::uint64_t first_bytes);

  const TCPSocket& client() const { return client_; }
  const TCPSocket& server() const { return server_; }

  // For a client leg that was accepted with its SYN's data: passes these on, and keeps the answer flowing
  // until the handshake has ended, which takes a round trip. Then, or when the client sends more, the
  // session is like any other. Call it before copy(Way::up), beside the other way.
  void finish_fast_open();

  // Passes on messages both ways in one thread, until a source ends; in the opening also until a message
  // is large or finds no room, many were passed, or none came for a while. A request and its answer thus
  // cost neither a second thread nor its wake-ups. Says what is to be copied next.
  Turn exchange(Stage stage);

  // Copies one way to its end, each way in its own thread or, once a source has ended, one after the other.
  // The one that ends last closes the session. A failed source resets both sides and ends the process at
  // once; a failed sink waits until the other way has passed on what the failing side had sent before.
  void copy(Way way, SplicePipe& pipe);

  // Before any copying: resets the client, writes the closing line and frees the slot.
  void fail(Counter counter, std::string_view reason) { close(counter, reason); }

  // While copying: resets whatever is open, writes the closing line, frees the slot and ends the process.
  [[noreturn]] void abort(Counter counter, std::string_view reason);

private:
  enum class Side
  {
    client,
    server
  };

  struct Direction
  {
    Direction(Side source, Side sink)
        : from{source}
        , to{sink}
    {}

    Side from;
    Side to;
    std::atomic<bool> fin_sent{};           // the side it flows to has been half-closed
    std::atomic<std::uint64_t> own_bytes{}; // counts for a connection without a slot
    std::atomic<std::uint64_t>* bytes{};    // written so far: the slot's counter, or own_bytes
    std::span<const std::byte> held;        // read in an exchange, but not written yet
    std::array<std::byte, 16384> buffer;    // of an exchange; left as it is: most of it is never touched
  };

  enum class Passing
  {
    nothing, // none was there
    small,
    large, // or more than the sink took
    ended
  };

  TCPSocket& socket_of(Side side) { return side == Side::client ? client_ : server_; }
  Direction& direction_of(Way way) { return way == Way::up ? up_ : down_; }
  pollfd awaited(const Direction& direction);
  Passing pass_message(Direction& direction);
  [[noreturn]] void break_off(Side failed, int error);
  void flush(Side side);
  void close(Counter counter, std::string_view reason);

  ConnectionTable& table_;
  TCPSocket client_;
  TCPSocket server_;
  Connection connection_;
  std::optional<ConnectionTable::Claim> claim_;
  End end_;
  BootTime started_;
  Direction up_{Side::client, Side::server};
  Direction down_{Side::server, Side::client};
  std::atomic<int> directions_left_{2};
  std::atomic<bool> aborting_{};
  std::atomic<int> sink_error_{}; // errno of the first failed sink
  std::atomic<Side> failed_sink_{};
};

} // namespace pepsal
