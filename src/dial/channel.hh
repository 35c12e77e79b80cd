#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "pepsal/connection.hh"
#include "util/descriptor_passing.hh"
#include "util/socket.hh"

namespace pepsal {

// What queuers, the dialler and proxies say to each other, through pairs of sockets that the manager makes before it
// forks. It keeps both ends open, so that a restarted process continues with them. Nobody waits for anybody, except a
// proxy, and that only for a moment.

// How a connection is identified.
struct Ends
{
  Endpoint client;
  Endpoint server;

  // Any order will do.
  bool operator<(const Ends& other) const { return std::memcmp(this, &other, sizeof other) < 0; }
};
static_assert(std::has_unique_object_representations_v<Ends>);

inline Ends ends_of(const Connection& connection)
{
  return {.client = connection.client, .server = connection.server};
}

// Queuer to dialler: dial this server in this client's name. `generation` is that of the last DialAnswer::ready.
struct DialRequest
{
  std::uint64_t generation;
  std::uint64_t number; // chosen by the queuer
  Connection connection;
};

struct DialAnswer
{
  enum class Kind : std::uint8_t
  {
    ready,     // there is a dialler; `number` is its generation
    lost,      // it has died; sent by the manager
    accepted,  // the server accepted
    not_asked, // this server is not dialled in advance
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
  bool closed; // no more answers will come
  DialAnswer answer;
};
std::optional<ReceivedAnswer> receive_answer(int queuer_end);

// Between all proxies and the dialler: a proxy asks for its connection's server leg, and passes along the socket for
// the answer.
class LegHandover
{
public:
  LegHandover(); // throws SystemError

  // Proxy: the leg that was dialled in advance for exactly these endpoints; nothing if there is none, if there is no
  // answer within 100 ms, or if what comes leads elsewhere. If this returns nothing, no such leg is left open.
  std::optional<TCPSocket> take(const Ends& ends) const;

  // For a child that only asks. It has no descriptor of the other end, through which it could answer other proxies with
  // a leg of its own making.
  LegHandover take_asking_end() { return LegHandover{std::move(asking_end_)}; }
  int asking_end() const { return asking_end_.number(); }

  // Dialler: what a proxy asks for, and the descriptor that becomes readable when one does.
  struct Demand
  {
    Ends ends;
    FileDescriptor reply;
  };
  int dialler_end() const { return dialler_end_.number(); }
  std::optional<Demand> next() const;
  // Answers with `leg`, -1 for none.
  static void give(const Demand& demand, int leg);

private:
  explicit LegHandover(FileDescriptor asking_end)
      : asking_end_{std::move(asking_end)}
  {}

  FileDescriptor asking_end_;
  FileDescriptor dialler_end_;
};

} // namespace pepsal
