// Changes the rates of pepsal-satlink's HTB classes through rtnetlink(7). Called by `pepsalctl link` before
// pepsal-satlink, which does the same and everything else. Fails with SystemError if the kernel refuses.

#include "pepsalctl/reshape.hh"

#include <array>
#include <cstdint>
#include <fstream>
#include <vector>

#include <fmt/core.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "link/figures.hh"
#include "link/link.hh"
#include "link/prepared.hh"
#include "pepsalctl/netlink.hh"

namespace pepsal {

namespace {

struct Class
{
  std::uint32_t parent;
  std::uint32_t handle;
  std::uint32_t priority;
  std::uint64_t rate; // bytes a second
};

tc_ratespec rate_of(std::uint64_t bytes_per_second)
{
  tc_ratespec rate{};
  rate.rate = static_cast<std::uint32_t>(bytes_per_second);
  rate.linklayer = TC_LINKLAYER_ETHERNET; // needs no table of packet transmission times
  return rate;
}

void change(Netlink& netlink, unsigned interface, const Class& one, std::uint64_t ceiling, unsigned frame_bytes)
{
  constexpr std::uint64_t tick_ns = 64;
  const std::uint64_t burst = std::uint64_t{2} * frame_bytes * 1'000'000'000 / ceiling / tick_ns;
  alignas(nlmsghdr) std::array<char, 512> buffer{};
  auto* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_NEWTCLASS;
  auto* what = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(tcmsg)));
  what->tcm_family = AF_UNSPEC;
  what->tcm_ifindex = static_cast<int>(interface);
  what->tcm_parent = one.parent;
  what->tcm_handle = one.handle;
  mnl_attr_put_strz(request, TCA_KIND, "htb");
  auto* options = mnl_attr_nest_start(request, TCA_OPTIONS);
  tc_htb_opt parameters{};
  parameters.rate = rate_of(one.rate);
  parameters.ceil = rate_of(ceiling);
  parameters.buffer = static_cast<std::uint32_t>(burst * ceiling / one.rate);
  parameters.cbuffer = static_cast<std::uint32_t>(burst);
  parameters.quantum = frame_bytes;
  parameters.prio = one.priority;
  mnl_attr_put(request, TCA_HTB_PARMS, sizeof parameters, &parameters);
  mnl_attr_nest_end(request, options);
  netlink.change(request);
}

} // namespace

void reshape(const std::string& interface, const std::string& rate)
{
  const auto prepared = prepared_link(interface);
  if (!prepared) {
    return;
  }
  std::vector<Link> links{*prepared};
  add_link(links, fmt::format("{} rate={}", interface, rate));
  unsigned mtu_bytes = 1500;
  std::ifstream{"/sys/class/net/" + interface + "/mtu"} >> mtu_bytes;
  constexpr unsigned header_bytes = 14; // of a frame
  const auto whole = interface_figures(links.front(), mtu_bytes).shaped_bit / 8;
  constexpr std::uint32_t qdisc = 1U << 16U; // "1:", and below it what `pepsal-satlink` calls 1:1, 1:10 and 1:20
  constexpr std::uint32_t small = 0x10;
  constexpr std::uint32_t others = 0x20;
  Netlink netlink{NETLINK_ROUTE, "RTM_NEWTCLASS"};
  for (const auto& one : {Class{.parent = qdisc, .handle = qdisc + 1, .priority = 0, .rate = whole},
                          Class{.parent = qdisc + 1, .handle = qdisc + others, .priority = 1, .rate = whole / 2},
                          Class{.parent = qdisc + 1, .handle = qdisc + small, .priority = 0, .rate = whole / 2}}) {
    change(netlink, if_nametoindex(interface.c_str()), one, whole, mtu_bytes + header_bytes);
  }
}

} // namespace pepsal
