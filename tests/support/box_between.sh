# shellcheck shell=bash
# Sourced by tests that act as a box, as root in their own network namespace.

# Users (namespace users, 10.1.0.2) across the satellite (sat0), this box, servers (namespace servers, 10.2.0.2) at wan0.
set_up_box_between() {
  local name
  ip link set lo up
  sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  for name in users servers; do ip netns add $name && ip -n $name link set lo up; done
  ip link add sat0 type veth peer name eth0 netns users
  ip link add wan0 type veth peer name eth0 netns servers
  ip address add 10.1.0.1/24 dev sat0
  ip address add 10.2.0.1/24 dev wan0
  ip -n users address add 10.1.0.2/24 dev eth0
  ip -n servers address add 10.2.0.2/24 dev eth0
  ip link set sat0 up
  ip link set wan0 up
  for name in users servers; do ip -n $name link set eth0 up; done
  ip -n users route add default via 10.1.0.1
  ip -n servers route add default via 10.2.0.1
}
