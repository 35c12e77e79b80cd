// Queries the kernel's TCP sockets through NETLINK_SOCK_DIAG, with one dump each for IPv4 and IPv6. Called once per
// command, or once per refresh. Fails with SystemError if there is no inet_diag, or if the kernel cannot answer.

#include "pepsalctl/sock_diag.hh"

#include <algorithm>
#include <array>
#include <cstring>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

#include "pepsalctl/netlink.hh"

namespace pepsal {

namespace {

// From the kernel's include/net/tcp_states.h: linux/tcp.h lacks these, and netinet/tcp.h, which has them, cannot be
// included together with it.
constexpr auto state_names =
    std::to_array<const char*>({"unknown", "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2",
                                "time-wait", "closed", "close-wait", "last-ack", "listening", "closing", "syn-recv"});
constexpr std::uint8_t time_wait = 6;
constexpr std::uint8_t listening = 10;
constexpr std::uint32_t all_states = 0xfffU;

constexpr std::uint8_t extension(unsigned attribute)
{
  return static_cast<std::uint8_t>(1U << (attribute - 1));
}

Endpoint endpoint(int family, const __be32* address, __be16 port)
{
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(address);
  return family == AF_INET ? Endpoint::from_ipv4(bytes, ntohs(port)) : Endpoint::from_ipv6(bytes, ntohs(port));
}

int read_attribute(const nlattr* attribute, void* data)
{
  auto& facts = *static_cast<SocketFacts*>(data);
  switch (mnl_attr_get_type(attribute)) {
  case INET_DIAG_INFO:
    std::memcpy(&facts.info, mnl_attr_get_payload(attribute),
                std::min<std::size_t>(sizeof facts.info, mnl_attr_get_payload_len(attribute)));
    break;
  case INET_DIAG_CONG:
    if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0) {
      facts.congestion = mnl_attr_get_str(attribute);
    }
    break;
  default:
    break;
  }
  return MNL_CB_OK;
}

int read_socket(const nlmsghdr* message, void* data)
{
  if (mnl_nlmsg_get_payload_len(message) < sizeof(inet_diag_msg)) {
    return MNL_CB_OK;
  }
  const auto* socket = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(message));
  const auto& id = socket->id;
  SocketFacts facts;
  facts.local = endpoint(socket->idiag_family, &id.idiag_src[0], id.idiag_sport);
  facts.remote = endpoint(socket->idiag_family, &id.idiag_dst[0], id.idiag_dport);
  facts.inode = socket->idiag_inode;
  facts.state = socket->idiag_state;
  facts.receive_queue = socket->idiag_rqueue;
  facts.send_queue = socket->idiag_wqueue;
  if (const int more = mnl_attr_parse(message, sizeof *socket, read_attribute, &facts); more != MNL_CB_OK) {
    return more;
  }
  static_cast<std::vector<SocketFacts>*>(data)->push_back(std::move(facts));
  return MNL_CB_OK;
}

void dump_sockets(Netlink& netlink, std::uint8_t family, std::vector<SocketFacts>& result)
{
  alignas(nlmsghdr) std::array<char, 256> buffer{};
  auto* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  auto* request = static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(message, sizeof(inet_diag_req_v2)));
  request->sdiag_family = family;
  request->sdiag_protocol = IPPROTO_TCP;
  request->idiag_ext = extension(INET_DIAG_INFO) | extension(INET_DIAG_CONG);
  request->idiag_states = all_states & ~(1U << time_wait | 1U << listening);
  netlink.dump(message, read_socket, &result);
}

} // namespace

std::vector<SocketFacts> tcp_sockets()
{
  Netlink netlink{NETLINK_SOCK_DIAG, "SOCK_DIAG_BY_FAMILY"};
  std::vector<SocketFacts> result;
  for (const auto family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    dump_sockets(netlink, family, result);
  }
  return result;
}

std::vector<SocketFacts> sockets_in(std::span<const std::byte> answer)
{
  std::vector<SocketFacts> result;
  read_messages(answer, read_socket, &result);
  return result;
}

const char* tcp_state_name(std::uint8_t state)
{
  return state < state_names.size() ? state_names.at(state) : state_names.front();
}

} // namespace pepsal
