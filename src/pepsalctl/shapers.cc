// Reads the shapers of interfaces through rtnetlink(7). Called by metrics and top. Fails with SystemError if the kernel
// does not report them.

#include "pepsalctl/shapers.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "pepsalctl/connections.hh"
#include "pepsalctl/netlink.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

// The structure in an attribute; fields that an older kernel does not send are 0.
template<typename T> T read_structure(const nlattr* attribute)
{
  T result{};
  std::memcpy(&result, mnl_attr_get_payload(attribute),
              std::min<std::size_t>(sizeof result, mnl_attr_get_payload_len(attribute)));
  return result;
}

int read_statistic(const nlattr* attribute, void* data)
{
  auto& shaper = *static_cast<Shaper*>(data);
  if (mnl_attr_get_type(attribute) == TCA_STATS_BASIC) {
    shaper.sent_bytes = read_structure<gnet_stats_basic>(attribute).bytes;
  } else if (mnl_attr_get_type(attribute) == TCA_STATS_QUEUE) {
    const auto queue = read_structure<gnet_stats_queue>(attribute);
    shaper.queued_bytes = queue.backlog;
    shaper.queued_packets = queue.qlen;
    shaper.dropped_packets = queue.drops;
  }
  return MNL_CB_OK;
}

int read_qdisc_attribute(const nlattr* attribute, void* data)
{
  auto& shaper = *static_cast<Shaper*>(data);
  if (mnl_attr_get_type(attribute) == TCA_KIND && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0) {
    shaper.kind = mnl_attr_get_str(attribute);
  } else if (mnl_attr_get_type(attribute) == TCA_STATS2) {
    return mnl_attr_parse_nested(attribute, read_statistic, data);
  }
  return MNL_CB_OK;
}

struct Found
{
  int index; // of the interface
  Shaper shaper;
};

// pepsal-satlink's copies of the last packets, which wait until the link is idle: dropping them is not a loss.
constexpr std::uint32_t class_of_copies = 0x0001'0030;

void leave_out_copies(std::vector<Found>& shapers, int index, const Shaper& copies)
{
  for (auto& [other, shaper] : shapers) { // a root is reported before what is below it
    if (other == index) {
      shaper.queued_bytes -= std::min(shaper.queued_bytes, copies.queued_bytes);
      shaper.queued_packets -= std::min(shaper.queued_packets, copies.queued_packets);
      shaper.dropped_packets -= std::min(shaper.dropped_packets, copies.dropped_packets);
    }
  }
}

int read_qdisc(const nlmsghdr* message, void* data)
{
  const auto* qdisc = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(message));
  if (mnl_nlmsg_get_payload_len(message) < sizeof *qdisc ||
      (qdisc->tcm_parent != TC_H_ROOT && qdisc->tcm_parent != class_of_copies)) {
    return MNL_CB_OK;
  }
  Found found{.index = qdisc->tcm_ifindex, .shaper = {}};
  if (const int more = mnl_attr_parse(message, sizeof *qdisc, read_qdisc_attribute, &found.shaper); more != MNL_CB_OK) {
    return more;
  }
  if (qdisc->tcm_parent == class_of_copies) {
    if (found.shaper.kind == "pfifo_head_drop") {
      leave_out_copies(*static_cast<std::vector<Found>*>(data), found.index, found.shaper);
    }
    return MNL_CB_OK;
  }
  constexpr auto kinds = std::to_array<std::string_view>({"htb", "tbf", "hfsc", "cake"});
  if (std::find(kinds.begin(), kinds.end(), found.shaper.kind) != kinds.end()) {
    static_cast<std::vector<Found>*>(data)->push_back(std::move(found));
  }
  return MNL_CB_OK;
}

int read_htb_option(const nlattr* attribute, void* data)
{
  auto& rate = *static_cast<std::uint64_t*>(data);
  if (mnl_attr_get_type(attribute) == TCA_HTB_PARMS) {
    rate = std::max<std::uint64_t>(rate, read_structure<tc_htb_opt>(attribute).ceil.rate);
  } else if (mnl_attr_get_type(attribute) == TCA_HTB_CEIL64) { // the 32-bit field is saturated then
    rate = read_structure<std::uint64_t>(attribute);
  }
  return MNL_CB_OK;
}

int read_class_attribute(const nlattr* attribute, void* data)
{
  return mnl_attr_get_type(attribute) == TCA_OPTIONS ? mnl_attr_parse_nested(attribute, read_htb_option, data)
                                                     : MNL_CB_OK;
}

// The rate is that of the classes without a parent class.
int read_class(const nlmsghdr* message, void* data)
{
  const auto* one = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(message));
  if (mnl_nlmsg_get_payload_len(message) < sizeof *one || one->tcm_parent != TC_H_ROOT) {
    return MNL_CB_OK;
  }
  std::uint64_t rate = 0;
  if (const int more = mnl_attr_parse(message, sizeof *one, read_class_attribute, &rate); more != MNL_CB_OK) {
    return more;
  }
  static_cast<Shaper*>(data)->rate += rate;
  return MNL_CB_OK;
}

void dump_traffic_control(Netlink& netlink, std::uint16_t type, int interface, mnl_cb_t read, void* data)
{
  alignas(nlmsghdr) std::array<char, 256> buffer{};
  auto* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = type;
  auto* what = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(tcmsg)));
  what->tcm_family = AF_UNSPEC;
  what->tcm_ifindex = interface;
  netlink.dump(request, read, data);
}

std::vector<Shaper> look_at_shapers()
{
  Netlink netlink{NETLINK_ROUTE, "RTM_GETQDISC"};
  std::vector<Found> found;
  dump_traffic_control(netlink, RTM_GETQDISC, 0, read_qdisc, &found);
  std::vector<Shaper> result;
  for (auto& [index, shaper] : found) {
    shaper.interface = interface_name(static_cast<std::uint32_t>(index));
    if (shaper.kind == "htb") {
      dump_traffic_control(netlink, RTM_GETTCLASS, index, read_class, &shaper);
    }
    result.push_back(std::move(shaper));
  }
  return result;
}

} // namespace

std::vector<Shaper> shapers_in(std::span<const std::byte> qdiscs, std::span<const std::byte> classes)
{
  std::vector<Found> found;
  read_messages(qdiscs, read_qdisc, &found);
  std::vector<Shaper> result;
  result.reserve(found.size());
  for (auto& one : found) {
    read_messages(classes, read_class, &one.shaper);
    result.push_back(std::move(one.shaper));
  }
  return result;
}

std::vector<Shaper> shapers()
{
  constexpr int tries = 4;
  for (int attempt = 1;; ++attempt) {
    try {
      return look_at_shapers();
    } catch (const SystemError& error) {
      if (error.code().value() != EINTR || attempt == tries) { // they are being changed at this moment
        throw;
      }
    }
  }
}

} // namespace pepsal
