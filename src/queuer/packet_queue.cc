// The queuer's interface to the kernel: binds an NFQUEUE, reads packets in batches and sends their verdicts in batches,
// which halves the system calls per packet. Binding fails if the queue is taken or CAP_NET_ADMIN is missing; afterwards
// only the loss of the socket is an error.

#include "queuer/packet_queue.hh"

#include <algorithm>
#include <array>
#include <cassert>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "util/netlink_messages.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr std::uint32_t queue_packets = 2048; // in the kernel, including held ones; beyond that, packets fail open
constexpr int receive_buffer_bytes = 16 * 1024 * 1024; // of the netlink socket
constexpr std::size_t batch_packets = 64;
constexpr std::size_t message_bytes =
    2048; // a multiple of 4; a packet's copy and its attributes take well under half of this
constexpr std::size_t verdict_bytes = 64; // the longest verdict message takes 40

} // namespace

Verdict::~Verdict()
{
  if (outbox_ != nullptr) {
    release();
  }
}

void Verdict::repeat(std::uint32_t mark)
{
  give(NF_REPEAT, &mark);
}

void Verdict::drop()
{
  give(NF_DROP, nullptr);
}

void Verdict::release()
{
  give(NF_ACCEPT, nullptr);
}

void Verdict::give(std::uint32_t code, const std::uint32_t* mark)
{
  assert(outbox_ != nullptr && "a verdict is given once");
  const auto begin = outbox_->size();
  outbox_->resize(begin + verdict_bytes);
  auto* message = nfq_nlmsg_put(reinterpret_cast<char*>(outbox_->data() + begin), NFQNL_MSG_VERDICT, queue_);
  nfq_nlmsg_verdict_put(message, static_cast<int>(packet_id_), static_cast<int>(code));
  if (mark != nullptr) {
    nfq_nlmsg_verdict_put_mark(message, *mark);
  }
  outbox_->resize(begin + message->nlmsg_len);
  outbox_ = nullptr;
}

// Buffers for one recvmmsg(2).
struct PacketQueue::Inbox
{
  std::array<std::array<std::byte, message_bytes>, batch_packets> buffers;
  std::array<iovec, batch_packets> vectors;
  std::array<mmsghdr, batch_packets> headers;
};

void PacketQueue::DeleteInbox::operator()(Inbox* inbox) const
{
  delete inbox;
}

PacketQueue::PacketQueue(std::uint16_t number)
    : number_{number}
    , socket_{mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC)}
    , inbox_{new Inbox{}}
{
  if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) == -1) {
    throw SystemError{errno, "netlink socket for NFQUEUE"};
  }
  outbox_.reserve(batch_packets * verdict_bytes);
  configure();
}

void PacketQueue::configure()
{
  std::array<char, 1024> buffer{};
  auto* message = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_CONFIG, number_);
  nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
  request(message, "bind");

  message = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_CONFIG, number_);
  nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, copy_range);
  nfq_nlmsg_cfg_put_qmaxlen(message, queue_packets);
  // When the queue or the socket's buffer is full, packets pass instead of being dropped. Packets that the receiving
  // side has merged (GRO) arrive as one and are not segmented again.
  constexpr std::uint32_t flags = NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO;
  mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(flags));
  mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(flags));
  request(message, "configure");

  int on = 1;
  mnl_socket_setsockopt(socket_.get(), NETLINK_NO_ENOBUFS, &on, sizeof on);
  const int fd = mnl_socket_get_fd(socket_.get());
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) == -1) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes); // as far as permitted
  }
}

void PacketQueue::request(nlmsghdr* message, const char* what)
{
  const auto operation = fmt::format("{} NFQUEUE {}", what, number_);
  message->nlmsg_flags |= NLM_F_ACK;
  check(operation, mnl_socket_sendto(socket_.get(), message, message->nlmsg_len));
  // Packets may already be queued ahead of the answer; they wait in the kernel only if left unread, so the answer to
  // bind is read before copying is configured, and nothing is queued until then.
  std::array<std::byte, 8192> answer{};
  const auto bytes = check(operation, mnl_socket_recvfrom(socket_.get(), answer.data(), answer.size()));
  const auto whole = whole_messages(std::span{answer}.first(static_cast<std::size_t>(bytes)));
  check(operation, mnl_cb_run(whole.data(), whole.size(), 0, mnl_socket_get_portid(socket_.get()), nullptr, nullptr));
}

void PacketQueue::handle_batch(const Handler& handler)
{
  auto& inbox = *inbox_;
  for (std::size_t i = 0; i < batch_packets; ++i) {
    inbox.vectors[i] = {.iov_base = inbox.buffers[i].data(), .iov_len = message_bytes};
    inbox.headers[i] = {};
    inbox.headers[i].msg_hdr.msg_iov = &inbox.vectors[i];
    inbox.headers[i].msg_hdr.msg_iovlen = 1;
  }
  const int received =
      recvmmsg(mnl_socket_get_fd(socket_.get()), inbox.headers.data(), batch_packets, MSG_WAITFORONE, nullptr);
  if (received == -1) {
    if (errno == EINTR || errno == ENOBUFS) {
      return;
    }
    throw SystemError{errno, fmt::format("read NFQUEUE {}", number_)};
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(received); ++i) {
    const std::size_t length = inbox.headers[i].msg_len;
    const auto padded = NLMSG_ALIGN(length); // the kernel does not pad the last attribute, a packet's bytes
    std::fill(inbox.buffers[i].begin() + length, inbox.buffers[i].begin() + padded, std::byte{});
    read_packets(std::span{inbox.buffers[i]}.first(padded), [&](const QueuedPacket& packet, std::uint32_t packet_id) {
      handler(packet, Verdict{outbox_, number_, packet_id});
    });
  }
  send_verdicts();
}

void read_packets(std::span<const std::byte> messages,
                  const std::function<void(const QueuedPacket&, std::uint32_t packet_id)>& take)
{
  const auto whole = whole_messages(messages);
  int left = static_cast<int>(whole.size());
  for (const auto* message = reinterpret_cast<const nlmsghdr*>(whole.data()); mnl_nlmsg_ok(message, left);
       message = mnl_nlmsg_next(message, &left)) {
    std::array<nlattr*, NFQA_MAX + 1> attributes{};
    if (message->nlmsg_type != ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET) ||
        nfq_nlmsg_parse(message, attributes.data()) < 0 || attributes[NFQA_PACKET_HDR] == nullptr) {
      continue; // an error message: a verdict for a packet that is gone with its interface
    }
    const auto* header = static_cast<const nfqnl_msg_packet_hdr*>(mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]));
    const auto number = [&](std::size_t type) {
      return attributes[type] == nullptr ? 0 : ntohl(mnl_attr_get_u32(attributes[type]));
    };
    QueuedPacket packet{.bytes = {},
                        .mark = number(NFQA_MARK),
                        .arrival_interface = number(NFQA_IFINDEX_INDEV),
                        .is_delivered = header->hook == NF_INET_LOCAL_IN};
    if (const auto* payload = attributes[NFQA_PAYLOAD]) {
      packet.bytes = {static_cast<const std::byte*>(mnl_attr_get_payload(payload)), mnl_attr_get_payload_len(payload)};
    }
    take(packet, ntohl(header->packet_id));
  }
}

void PacketQueue::send_verdicts()
{
  if (!outbox_.empty()) {
    check(fmt::format("send verdicts of NFQUEUE {}", number_),
          mnl_socket_sendto(socket_.get(), outbox_.data(), outbox_.size()));
    outbox_.clear();
  }
}

} // namespace pepsal
