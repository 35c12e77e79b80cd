# A part of pepsal-iptables, which sources it: what the machine has.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

has_ipv6() { [[ -e /proc/sys/net/ipv6/conf/lo/disable_ipv6 && $(</proc/sys/net/ipv6/conf/lo/disable_ipv6) == 0 ]]; }

has_interface() { ip link show dev "$1" >/dev/null 2>&1; }

is_up() { [[ -n $(ip link show dev "$1" up 2>/dev/null) ]]; }

has_capability() { # number
  local line
  line=$(grep '^CapEff:' /proc/self/status)
  (((16#${line##*[[:space:]]} >> $1) & 1))
}

need_machine() {
  local program_name
  for program_name in ip "$iptables" "$iptables-save" "$iptables-restore"; do
    [[ -n $(type -P "$program_name") ]] || broken "no program '$program_name'; install the packages iptables and iproute2"
  done
  has_capability 12 || broken "needs CAP_NET_ADMIN; run it as root"
  if has_ipv6 || [[ $action == stop && -n $(type -P "$ip6tables-save") ]]; then
    [[ -n $(type -P "$ip6tables-restore") ]] || broken "no program '$ip6tables-restore'; install the package iptables"
    families=(4 6)
    variant[6]=$("$ip6tables" --version)
  fi
  variant[4]=$("$iptables" --version)
}
