// Asks the kernel for the way to a destination. Called by a proxy before its dial, and by a peer's keeper. Uses
// rtnetlink(7) directly, because libmnl has no static library.

#include "tcp/route.hh"

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/system_error.hh"

namespace pepsal {

namespace {

struct Request
{
  nlmsghdr header;
  rtmsg route;
  std::array<std::byte, 96> attributes; // room for everything that request_for() asks
};

void add_attribute(Request& request, std::uint16_t type, std::span<const std::byte> value)
{
  const rtattr attribute{.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(value.size())), .rta_type = type};
  auto* const place = reinterpret_cast<std::byte*>(&request) + NLMSG_ALIGN(request.header.nlmsg_len);
  std::memcpy(place, &attribute, sizeof attribute);
  std::memcpy(place + RTA_LENGTH(0), value.data(), value.size());
  request.header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_ALIGN(request.header.nlmsg_len) + attribute.rta_len);
}

template<typename Value> void add_value(Request& request, std::uint16_t type, const Value& value)
{
  add_attribute(request, type, std::as_bytes(std::span{&value, 1}));
}

std::span<const std::byte> address_bytes(const Endpoint& endpoint)
{
  return std::as_bytes(std::span{endpoint.address}).subspan(endpoint.is_ipv4() ? Endpoint::ipv4_offset : 0);
}

Request request_for(const Endpoint& destination, std::uint32_t mark, const std::optional<RouteFlow>& flow)
{
  const bool ipv4 = destination.is_ipv4();
  const auto address = address_bytes(destination);
  Request request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg));
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.route.rtm_family = ipv4 ? AF_INET : AF_INET6;
  request.route.rtm_dst_len = static_cast<std::uint8_t>(address.size() * 8);
  add_attribute(request, RTA_DST, address);
  add_value(request, RTA_MARK, mark);
  add_value(request, RTA_IP_PROTO, static_cast<std::uint8_t>(IPPROTO_TCP));
  add_value(request, RTA_DPORT, ::htons(destination.port));
  if (flow) {
    request.route.rtm_src_len = request.route.rtm_dst_len;
    add_attribute(request, RTA_SRC, address_bytes(flow->source));
    add_value(request, RTA_SPORT, ::htons(flow->source.port));
    add_value(request, RTA_IIF, flow->arrival);
  }
  return request;
}

} // namespace

Route route_in(std::span<const std::byte> answer)
{
  nlmsghdr header{};
  rtmsg route{};
  if (answer.size() < NLMSG_LENGTH(sizeof route)) {
    return {};
  }
  std::memcpy(&header, answer.data(), sizeof header);
  std::memcpy(&route, answer.data() + NLMSG_LENGTH(0), sizeof route);
  if (header.nlmsg_type != RTM_NEWROUTE || header.nlmsg_len > answer.size() ||
      header.nlmsg_len < NLMSG_LENGTH(sizeof route)) {
    return {};
  }
  Route result{.is_local = route.rtm_type == RTN_LOCAL};
  auto attributes = answer.first(header.nlmsg_len).subspan(NLMSG_LENGTH(sizeof(rtmsg)));
  while (attributes.size() >= sizeof(rtattr)) {
    rtattr attribute{};
    std::memcpy(&attribute, attributes.data(), sizeof attribute);
    if (attribute.rta_len < RTA_LENGTH(0) || attribute.rta_len > attributes.size()) {
      break;
    }
    if (attribute.rta_type == RTA_OIF && attribute.rta_len == RTA_LENGTH(sizeof result.interface)) {
      std::memcpy(&result.interface, attributes.data() + RTA_LENGTH(0), sizeof result.interface);
    } else if (attribute.rta_type == RTA_GATEWAY && attribute.rta_len <= RTA_LENGTH(sizeof result.gateway)) {
      std::memcpy(result.gateway.data(), attributes.data() + RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    }
    attributes = attributes.subspan(std::min<std::size_t>(RTA_ALIGN(attribute.rta_len), attributes.size()));
  }
  return result;
}

RouteSocket::RouteSocket()
    : socket_{Socket::create(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)}
{}

// The kernel answers within the call that asks, so the next message is the answer.
Route RouteSocket::find(const Endpoint& destination, std::uint32_t mark, const std::optional<RouteFlow>& flow) const
{
  const auto request = request_for(destination, mark, flow);
  check("send RTM_GETROUTE", ::send(socket_.number(), &request, request.header.nlmsg_len, 0));
  std::array<std::byte, 1024> answer{};
  const auto bytes = check("recv RTM_GETROUTE", ::recv(socket_.number(), answer.data(), answer.size(), 0));
  return route_in(std::span{answer}.first(static_cast<std::size_t>(bytes)));
}

// if_indextoname(3) would open a socket for this.
std::string RouteSocket::name_of_interface(std::uint32_t index) const
{
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index);
  if (index == 0 || ::ioctl(socket_.number(), SIOCGIFNAME, &request) == -1) {
    return {};
  }
  return {request.ifr_name, ::strnlen(request.ifr_name, sizeof request.ifr_name)};
}

std::string RouteSocket::outgoing_interface(const Endpoint& destination, std::uint32_t mark) const
{
  return name_of_interface(find(destination, mark).interface);
}

std::string outgoing_interface(const Endpoint& destination, std::uint32_t mark)
{
  return RouteSocket{}.outgoing_interface(destination, mark);
}

} // namespace pepsal
