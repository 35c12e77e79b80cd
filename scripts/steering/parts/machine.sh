# A part of pepsal-iptables, which sources it: what the machine has.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

has_ipv6() { [[ -e /proc/sys/net/ipv6/conf/lo/disable_ipv6 && $(</proc/sys/net/ipv6/conf/lo/disable_ipv6) == 0 ]]; }

has_interface() { ip link show dev "$1" >/dev/null 2>&1; }

is_up() { [[ -n $(ip link show dev "$1" up 2>/dev/null) ]]; }

# Whether packets that arrive over a bridge go through netfilter before they reach IP, where TPROXY has no effect. If so,
# prints a message.
bridge_trouble() { # interface
  local family name
  [[ $mode == tproxy && -e /proc/sys/net/bridge && -n $(ip -o link show dev "$1" type bridge 2>/dev/null) ]] || return 1
  for family in "${families[@]}"; do
    name=bridge-nf-call-$(if [[ $family == 4 ]]; then echo iptables; else echo ip6tables; fi)
    if [[ $(<"/proc/sys/net/bridge/$name") == 1 ]]; then
      echo "IPv$family connections that arrive by bridge $1 bypass PEPsal: sysctl -w net.bridge.$name=0, or --mode redirect"
    fi
  done
}

# Whether a daemon serves all the queues, but nothing listens on the port: each SYN would be intercepted and dropped.
port_is_dead() { # queue-range port
  local port
  [[ $(queue_state "$1") == bound ]] || return 1
  printf -v port '%04X' "$2"
  ! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v "end=:$port\$" '$4 == "0A" && $2 ~ end { found = 1 } END { exit !found }' # 0A: TCP_LISTEN
}

# The mark of the socket on which a daemon listens, if it is not the given one, which the rules expect of client legs:
# the verdict on each SYN would be in bits that the rules do not look at, and the SYN would bypass.
other_mark() { # port mark
  local mark
  [[ $(ss -Hltne "sport = :$1" 2>/dev/null) =~ \ fwmark:(0x[0-9a-f]+) ]] || return 0
  mark=${BASH_REMATCH[1]}
  ((mark == $2)) || echo "$mark"
}

has_capability() { # number
  [[ $(</proc/self/status) =~ CapEff:[[:space:]]*([0-9a-f]+) ]] && (((16#${BASH_REMATCH[1]} >> $1) & 1))
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
