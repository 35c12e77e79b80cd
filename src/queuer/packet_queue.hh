#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <libmnl/libmnl.h>

namespace pepsal {

// A program's decision about a queued packet. A verdict is given exactly once: by the first of repeat(), drop() and
// release(), or by the destructor, which releases the packet.
class Verdict
{
public:
  // Appends messages for the kernel to `outbox`, which must outlive the verdict.
  Verdict(std::vector<std::byte>& outbox, std::uint16_t queue, std::uint32_t packet_id)
      : outbox_{&outbox}
      , queue_{queue}
      , packet_id_{packet_id}
  {}
  ~Verdict();
  Verdict(Verdict&& other) noexcept
      : outbox_{std::exchange(other.outbox_, nullptr)}
      , queue_{other.queue_}
      , packet_id_{other.packet_id_}
  {}
  Verdict& operator=(Verdict&&) = delete;
  Verdict(const Verdict&) = delete;
  Verdict& operator=(const Verdict&) = delete;

  // NF_REPEAT: the packet traverses the hook again, this time with `mark`.
  void repeat(std::uint32_t mark);

  // NF_DROP: the packet is discarded, as if the network had lost it.
  void drop();

  // NF_ACCEPT: the packet continues unchanged.
  void release();

private:
  void give(std::uint32_t code, const std::uint32_t* mark);

  std::vector<std::byte>* outbox_; // null once given
  std::uint16_t queue_;
  std::uint32_t packet_id_;
};

struct QueuedPacket
{
  std::span<const std::byte> bytes; // from the IP header on, truncated to PacketQueue::copy_range
  std::uint32_t mark;               // as set by netfilter so far
  std::uint32_t arrival_interface;  // index, 0 if unknown
  bool is_delivered; // it is on its way to a socket of this machine, and so belongs to an existing connection
};

// Calls `take` with each packet in the kernel's messages, and with the packet's number for the verdict.
void read_packets(std::span<const std::byte> messages,
                  const std::function<void(const QueuedPacket&, std::uint32_t packet_id)>& take);

// One NFQUEUE bound to this process (libnetfilter_queue over libmnl). The kernel unbinds it when the process ends;
// rules with --queue-bypass then let packets pass.
class PacketQueue
{
public:
  // Bytes of a packet that the kernel copies: IPv6 header, extension headers and a full TCP header.
  static constexpr std::uint32_t copy_range = 256;

  // Throws SystemError if the queue is bound by another process (EPERM or EBUSY), or CAP_NET_ADMIN is missing.
  explicit PacketQueue(std::uint16_t number);

  using Handler = std::function<void(const QueuedPacket&, Verdict)>;

  // Waits for packets, passes each available one to `handler`, then sends all their verdicts at once. Throws
  // SystemError if the kernel's side is gone.
  void handle_batch(const Handler& handler);

  // Readable when handle_batch() would not wait.
  int descriptor() const { return mnl_socket_get_fd(socket_.get()); }

  // Sends the verdicts given since the last batch.
  void send_verdicts();

private:
  struct Inbox;
  struct CloseSocket
  {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  struct DeleteInbox
  {
    void operator()(Inbox* inbox) const;
  };

  void configure();
  void request(nlmsghdr* message, const char* what);

  std::uint16_t number_;
  std::unique_ptr<mnl_socket, CloseSocket> socket_;
  std::unique_ptr<Inbox, DeleteInbox> inbox_;
  std::vector<std::byte> outbox_;
};

} // namespace pepsal
