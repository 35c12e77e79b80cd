// The reference for the queuer in scripts/bench: takes packets from an NFQUEUE one by one and accepts each, like the
// example that comes with libnetfilter_queue, with the queuer's queue length and receive buffer. Runs until it is
// killed; exits with 1 if the queue is not available.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "util/system_error.hh"

namespace {

using pepsal::check;

constexpr std::uint32_t queue_packets = 16384;
constexpr int receive_buffer_bytes = 16 * 1024 * 1024;
constexpr std::uint32_t whole_packet = 0xffff;

struct CloseSocket
{
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

class BareQueue
{
public:
  explicit BareQueue(std::uint16_t number)
      : number_{number}
      , socket_{mnl_socket_open(NETLINK_NETFILTER)}
  {
    if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) == -1) {
      throw pepsal::SystemError{errno, "netlink socket"};
    }
    std::array<char, 1024> buffer{};
    auto* message = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_CONFIG, number_);
    nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
    request(message);
    message = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_CONFIG, number_);
    nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, whole_packet);
    nfq_nlmsg_cfg_put_qmaxlen(message, queue_packets);
    request(message);
    const int on = 1;
    check("setsockopt NETLINK_NO_ENOBUFS",
          mnl_socket_setsockopt(socket_.get(), NETLINK_NO_ENOBUFS, const_cast<int*>(&on), sizeof on));
    check("setsockopt SO_RCVBUFFORCE", ::setsockopt(mnl_socket_get_fd(socket_.get()), SOL_SOCKET, SO_RCVBUFFORCE,
                                                    &receive_buffer_bytes, sizeof receive_buffer_bytes));
  }

  [[noreturn]] void run()
  {
    std::array<char, whole_packet + 8192> buffer{};
    for (;;) {
      const auto bytes = check("recv", mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size()));
      check("packet", mnl_cb_run(buffer.data(), static_cast<std::size_t>(bytes), 0,
                                 mnl_socket_get_portid(socket_.get()), &on_packet, this));
    }
  }

private:
  void request(nlmsghdr* message)
  {
    message->nlmsg_flags |= NLM_F_ACK;
    check("sendto", mnl_socket_sendto(socket_.get(), message, message->nlmsg_len));
    std::array<char, 8192> answer{};
    const auto bytes = check("recv", mnl_socket_recvfrom(socket_.get(), answer.data(), answer.size()));
    check(fmt::format("bind NFQUEUE {}", number_), mnl_cb_run(answer.data(), static_cast<std::size_t>(bytes), 0,
                                                              mnl_socket_get_portid(socket_.get()), nullptr, nullptr));
  }

  static int on_packet(const nlmsghdr* message, void* self)
  {
    std::array<nlattr*, NFQA_MAX + 1> attributes{};
    if (nfq_nlmsg_parse(message, attributes.data()) == MNL_CB_ERROR || attributes[NFQA_PACKET_HDR] == nullptr) {
      throw std::runtime_error{"a message without a packet's header"};
    }
    const auto* header = static_cast<const nfqnl_msg_packet_hdr*>(mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]));
    static_cast<BareQueue*>(self)->accept(ntohl(header->packet_id));
    return MNL_CB_OK;
  }

  void accept(std::uint32_t packet)
  {
    std::array<char, 256> buffer{};
    auto* verdict = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_VERDICT, number_);
    nfq_nlmsg_verdict_put(verdict, static_cast<int>(packet), NF_ACCEPT);
    check("sendto", mnl_socket_sendto(socket_.get(), verdict, verdict->nlmsg_len));
  }

  std::uint16_t number_;
  std::unique_ptr<mnl_socket, CloseSocket> socket_;
};

} // namespace

int main()
{
  try {
    BareQueue{0}.run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "bare_nfqueue: {}\n", error.what());
    return EXIT_FAILURE;
  }
}
