#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <poll.h>

#include "proxy/copy_thread.hh"
#include "proxy/flow.hh"
#include "proxy/inspection.hh"
#include "proxy/leg.hh"
#include "shared/connection_table.hh"
#include "util/socket.hh"

namespace pepsal {

// One proxied connection: its two legs (sockets), its two directions, each carried from one leg to the other by a flow,
// its slot in the table if it has one, its byte counts. What a host has sent in good order reaches the other host,
// however slow that one is, as long as it is alive; only then does the end follow: a FIN for a FIN, a reset for a
// reset. Sockets do not block. If it is destroyed before its end (by an exception), each host that has not ended its
// stream sees a reset.
class Session
{
public:
  // Buffers for messages, for one session at a time. The owner must not initialize them: a page is only allocated when
  // a message needs it. On the stack, all pages would be touched at once (-fstack-clash-protection).
  using Memory = std::array<std::byte, 2 * Flow::buffer_bytes>;

  Session(ConnectionTable& table, TCPSocket client, const LegProfile& client_profile, const Connection& connection,
          std::optional<ConnectionTable::Claim> claim, LogConnections log, Memory& memory);

  // The server leg is established and has already carried the client's first bytes.
  void open(TCPSocket server, const LegProfile& server_profile, std::uint64_t first_bytes);

  const TCPSocket& client() const { return client_.socket; }
  const TCPSocket& server() const { return server_.socket; }

  // The client leg was accepted half-open (Fast Open), and its handshake may not be complete.
  void expect_handshake()
  {
    in_handshake_ = true;
    client_.expect_handshake();
  }

  // Passes on everything from either side until both ends or a failure; then closes. To be called after open().
  void run();

  // Instead of run(): resets the client, writes the closing line and frees the slot.
  void fail(Counter counter, std::string_view reason) { close(counter, reason); }

private:
  // Up, from the client to the server, or down.
  struct Direction
  {
    enum class End
    {
      none,
      passed_on, // the source's FIN, after all its bytes
      broken     // a leg has failed first
    };

    Direction(Leg& source, Leg& sink)
        : from{source}
        , to{sink}
    {}

    bool is_open() const { return end == End::none; }

    Leg& from;
    Leg& to;
    std::atomic<std::uint64_t> own_bytes{};       // counter for a connection without a slot
    std::atomic<std::uint64_t>* bytes{};          // written so far: the slot's counter, or own_bytes
    const std::atomic<std::uint8_t>* told_dscp{}; // in the slot: of the source's packets
    std::uint8_t dscp{};                          // of what the sink is sent
    std::optional<Flow> flow;
    bool ready{};   // can continue without waiting
    bool fin_due{}; // the source has ended, and the sink cannot be half-closed yet
    End end{End::none};
  };

  using Clock = std::chrono::steady_clock;

  // Copying. run() lets each direction move() what it can and settle() act on the state its flow has reached; then it
  // waits for events of both legs.
  void move(Direction& direction);
  static void follow_dscp(Direction& direction);
  void settle(Direction& direction);
  void source_ended(Direction& direction);
  void pass_fin(Direction& direction);
  void fail_leg(Leg& leg, int error);
  void share_work();
  void take_flow_back();

  // Waiting.
  void wait();
  int time_to_wait_ms() const;
  short events_of(const Leg& leg) const;
  void note_events(Leg& leg, short events);
  bool moves_here(const Direction& direction) const
  {
    return direction.is_open() && !direction.fin_due && !(&direction == &down_ && thread_.is_running());
  }
  void push_handshake();

  // Inspecting the legs from time to time.
  void inspect(Clock::time_point now);

  // The end.
  void finish();
  void deliver(Leg& leg);
  static bool ended_in_good_order(const Leg& failed, const Direction& from_failed, const Direction& to_failed);
  void close_after(const Leg& failed);
  void close(Counter counter, std::string_view reason);

  ConnectionTable& table_;
  Leg client_;
  Leg server_;
  Connection connection_;
  std::optional<ConnectionTable::Claim> claim_;
  LogConnections log_;
  Memory& memory_;
  BootTime started_;
  Direction up_{client_, server_};
  Direction down_{server_, client_};
  CopyThread thread_;
  bool thread_refused_{};
  bool in_handshake_{};
  const Leg* first_failed_{};
  Inspection inspection_;
};

} // namespace pepsal
