# A part of pepsal-iptables, which sources it: the action check.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

lacks=0
lack() {
  printf '%s\n' "$*"
  lacks=$((lacks + 1))
}

# What the rules need of the kernel and of iptables, one rule a line: table|chain|what it is|modules|rule.
needed_rules() { # family
  local icmp=${icmps[$1]}
  cat <<END
raw|PREROUTING|target NFQUEUE|xt_NFQUEUE|-p tcp --syn -j NFQUEUE --queue-num 0 --queue-bypass
raw|PREROUTING|match limit|xt_limit|-p tcp -m limit --limit 10000/sec -j RETURN
raw|PREROUTING|target CT|xt_CT|-j CT --notrack
raw|PREROUTING|target MARK|xt_mark|-j MARK --set-xmark 0x1/0x1
raw|PREROUTING|match mark|xt_mark|-m mark --mark 0x1/0x1
raw|PREROUTING|match comment|xt_comment|-m comment --comment pepsal
raw|PREROUTING|match addrtype|xt_addrtype|-m addrtype --dst-type LOCAL
END
  [[ -z $quic ]] || echo "filter|FORWARD|target REJECT|ipt_REJECT|-p udp -j REJECT"
  [[ -z $ports ]] || echo "raw|PREROUTING|match multiport|xt_multiport|-p tcp -m multiport --dports $ports"
  if [[ $mode == tproxy ]]; then
    cat <<END
raw|PREROUTING|match socket|xt_socket|-p tcp -m socket --transparent --restore-skmark
raw|PREROUTING|match socket for ICMP|xt_socket|-p $icmp -m socket --transparent
mangle|PREROUTING|match conntrack|xt_conntrack|-m conntrack --ctstate SNAT --ctdir REPLY
mangle|PREROUTING|match connmark|xt_connmark|-m connmark --mark 0x1/0x1
mangle|PREROUTING|target CONNMARK|xt_connmark|-j CONNMARK --set-xmark 0x1/0x1
filter|FORWARD|target REJECT|ipt_REJECT|-p tcp -m connmark --mark 0x1/0x1 -j REJECT --reject-with tcp-reset
mangle|PREROUTING|target TPROXY|xt_TPROXY|-p tcp -j TPROXY --on-port 1 --tproxy-mark 0x1/0x1
mangle|INPUT|DSCP|xt_dscp xt_hashlimit|-p tcp -m dscp ! --dscp 0x00 -m hashlimit --hashlimit-upto 30/min \
--hashlimit-mode srcip --hashlimit-name pepsal -j NFQUEUE --queue-num 0 --queue-bypass
END
  else
    echo "nat|PREROUTING|target REDIRECT|xt_REDIRECT|-p tcp -j REDIRECT --to-ports 1"
  fi
}

# Tries rules in a network namespace that lives for this one command. Prints the reason and returns 1 on failure.
try_rules() { # family needed-rule...
  local family=$1 table chain name modules rule reason
  shift
  reason=$(printf '%s\n' "$@" |
    while IFS='|' read -r table chain name modules rule; do printf '*%s\n-A %s %s\nCOMMIT\n' "$table" "$chain" "$rule"; done |
    unshare -n "${commands[$family]}-restore" --noflush --wait=20 2>&1) && return
  grep -v '^# Warning' <<<"$reason" | sed -n 1p
  return 1
}

# Tries all at once; only if that fails, one by one, to name what is missing.
check_rules() { # family
  local need table chain name modules rule reason
  local -a needed
  mapfile -t needed < <(needed_rules "$1")
  if ! try_rules "$1" "${needed[@]}" >/dev/null; then
    for need in "${needed[@]}"; do
      reason=$(try_rules "$1" "$need") && continue
      IFS='|' read -r table chain name modules rule <<<"$need"
      if [[ $name == DSCP ]]; then
        notice "IPv$1: DSCPs that change after the SYN are not passed on ($reason): modprobe $modules"
      else
        lack "IPv$1: $name does not work in table $table ($reason): modprobe $modules, or a kernel and an iptables that have it"
      fi
    done
  fi
  [[ $mode != tproxy ]] || unshare -n ip "-$1" rule add fwmark 0x1/0x1 lookup 5000 2>/dev/null ||
    lack "IPv$1: no policy routing: a kernel with CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES"
}

setting() { cat "/proc/sys/net/$1" 2>/dev/null || echo 0; }

check_settings() {
  [[ $mode == tproxy || $(setting ipv4/tcp_early_demux) == 0 || -w $early_demux ]] ||
    lack "net.ipv4.tcp_early_demux is 1 and cannot be written, so a client cannot use one port for two servers at once:" \
      "set it to 0 on the host, or use --mode tproxy"
  [[ $(setting ipv4/ip_forward) == 1 ]] ||
    lack "IPv4: forwarding is off, so connections that bypass PEPsal are not forwarded: sysctl -w net.ipv4.ip_forward=1"
  ! has_ipv6 || [[ $(setting ipv6/conf/all/forwarding) == 1 ]] ||
    lack "IPv6: forwarding is off, so connections that bypass PEPsal are not forwarded: sysctl -w net.ipv6.conf.all.forwarding=1"
}

# Intercepted connections arrive in INPUT, where a firewall that drops by default does not expect them.
check_firewall() { # family
  local input accept="-m mark --mark $routed/$routed"
  [[ $mode == tproxy ]] || accept="-p tcp --dport $port"
  input=$("${commands[$1]}-save" 2>/dev/null | sed -n '/^\*filter$/,/^COMMIT/p' | grep -E '^(:|-A )INPUT ' || true)
  grep -qE '^(:INPUT DROP|-A INPUT -j (DROP|REJECT))' <<<"$input" || return 0
  [[ $input == *"mark --mark $routed/$routed "* || $mode == redirect && $input == *"--dport $port "* ]] ||
    lack "IPv$1: the firewall closes INPUT, where intercepted connections come in:" \
      "${commands[$1]} -I INPUT $accept -j ACCEPT"
}

# Checks the existing rules.
check_standing() { # family
  local line reason
  variant[$1]=$("${commands[$1]}" --version 2>/dev/null || true)
  load "$1"
  reason=$(elsewhere "$1")
  [[ -z $reason ]] || lack "IPv$1: instance '$reason' also has rules in $(other_command "$1"):" \
    "IPTABLES=$(other_command 4) IP6TABLES=$(other_command 6) $program stop --instance $reason"
  line=$(my_record "${noted[$1]}" raw)
  [[ -n $line ]] || return 0
  while read -r reason; do
    [[ -z $reason ]] || lack "IPv$1: the current rules lack $reason: run $program start again"
  done < <(missing "$1" "$line")
  while read -r reason; do notice "$reason"; done < <(unrepeated_rules "$1" && marking_rules "$1")
  if [[ $(setting ipv4/tcp_mtu_probing) == 0 && -n $(site_rules "${saved[$1]}" mangle FORWARD TCPMSS) ]]; then
    notice "IPv$1: the site limits segments in FORWARD; where ICMP is filtered, sysctl -w net.ipv4.tcp_mtu_probing=1 helps"
  fi
}

check_interface() { # name
  local reason
  if [[ $1 == *+ ]]; then return; fi
  if ! has_interface "$1"; then
    lack "there is no interface $1; see ip -br link"
  elif ! is_up "$1"; then
    lack "interface $1 is down: ip link set $1 up"
  elif [[ $mode == redirect && -z $(ip -4 -o address show dev "$1") ]]; then
    lack "interface $1 has no IPv4 address, to which redirect would send connections: give it one, or use --mode tproxy"
  elif [[ $(ip -d -o link show dev "$1") == *" bridge_slave "* ]]; then
    lack "interface $1 is a port of a bridge, and connections arrive by the bridge: name the bridge"
  fi
  while read -r reason; do lack "$reason"; done < <(bridge_trouble "$1")
}

check() {
  local name family mark
  for name in ip "$iptables" "$iptables-save" "$iptables-restore" "$ip6tables" "$ip6tables-save" "$ip6tables-restore"; do
    [[ -n $(type -P "$name") ]] || lack "no program '$name': apt-get install iptables iproute2"
  done
  has_capability 12 || lack "no CAP_NET_ADMIN: run this as root"
  families=(4)
  if has_ipv6; then families=(4 6); else notice "IPv6 is disabled in this kernel; only IPv4 is checked"; fi
  if ! unshare -n true 2>/dev/null; then
    lack "no scratch network namespace to try matches and targets in: run this with CAP_SYS_ADMIN"
  else
    for family in "${families[@]}"; do
      [[ -z $(type -P "${commands[$family]}-restore") ]] || check_rules "$family"
    done
  fi
  for name in "${interfaces[@]}"; do check_interface "$name"; done
  is_up lo || lack "interface lo is down, and intercepted connections are delivered through it: ip link set lo up"
  check_settings
  ! port_is_dead "$queue" "$port" ||
    lack "a daemon serves queue $queue, but nobody listens at port $port: give --port and --queue as for the daemon"
  mark=$(other_mark "$port" "$client_leg")
  [[ -z $mark ]] || lack "the daemon at port $port has another --mark-shift: its mark is $mark, not $client_leg"
  for family in "${families[@]}"; do
    if [[ -n $(type -P "${commands[$family]}-save") ]] && has_capability 12; then
      check_firewall "$family"
      check_standing "$family"
    fi
  done
  ((lacks == 0)) || exit 1
  echo "nothing is missing"
}
