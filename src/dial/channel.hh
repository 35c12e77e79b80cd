#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "pepsal/connection.hh"
#include "util/descriptor_passing.hh"
#include "util/socket.hh"

namespace pepsal {

// What queuers, the dialler and proxies say to each other, by pairs of sockets that the manager makes before it forks
// and keeps open at both ends, so that a process that is started again goes on with them. Nobody waits for anybody but
// a proxy, and that for a moment.

// By what a connection is known to them.
struct Ends
{
  Endpoint client;
  Endpoint server;

  // Some order.
  bool operator<(const Ends& other) const { return std::memcmp(this, &other, sizeof other) < 0; }
};
static_assert(std::has_unique_object_representations_v<Ends>);

inline Ends ends_of(const Connection& connection)
{
  return {.client = connection.client, .server = connection.server};
}

// Queuer to dialler: reach this server in this client's name. `generation` is that of the last DialAnswer::ready.
struct DialRequest
{
  std::uint64_t generation;
  std::uint64_t number; // the queuer's own
  Connection connection;
};

struct DialAnswer
{
  enum class Kind : std::uint8_t
  {
    ready,     // a dialler is there; `number` is its generation
    lost,      // it is no more; said by the manager
    accepted,  // by the server
    not_asked, // this one is not dialled ahead
    failed,    // refused, unreachable or silent; no socket is left
    no_room    // too many dials, or no descriptor
  };

  Kind kind;
  std::uint64_t number; // the request's
};

// Between one queuer and the dialler.
class DialChannel
{
public:
  int queuer_end() const { return pair_.first.number(); }
  int dialler_end() const { return pair_.second.number(); }

private:
  SocketPair pair_;
};

std::optional<DialRequest> receive_request(int dialler_end);

struct ReceivedAnswer
{
  bool closed; // nobody will ever answer
  DialAnswer answer;
};
std::optional<ReceivedAnswer> receive_answer(int queuer_end);

// Between all proxies and the dialler: a proxy asks for its connection's server leg, and sends along the socket by
// which it wants it.
class LegHandover
{
public:
  LegHandover(); // throws SystemError

  // Proxy: the leg that was dialled ahead for exactly these ends; nothing when there is none, or no answer within 100
  // ms, or what comes leads elsewhere. When this returns nothing, none is left.
  std::optional<TCPSocket> take(const Ends& ends) const;

  // For a child that only asks, and has no descriptor of the other end: whoever answers might answer with a leg of its
  // own making.
  LegHandover take_asking_end() { return LegHandover{std::move(asking_end_)}; }
  int asking_end() const { return asking_end_.number(); }

  // Dialler: what a proxy asks for, and the descriptor that is readable when one does.
  struct Demand
  {
    Ends ends;
    FileDescriptor reply;
  };
  int dialler_end() const { return dialler_end_.number(); }
  std::optional<Demand> next() const;
  // Gives it `leg`, -1 for none.
  static void give(const Demand& demand, int leg);

private:
  explicit LegHandover(FileDescriptor asking_end)
      : asking_end_{std::move(asking_end)}
  {}

  FileDescriptor asking_end_;
  FileDescriptor dialler_end_;
};

} // namespace pepsal
