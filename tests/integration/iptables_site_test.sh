#!/usr/bin/env bash
# Tests the rules of scripts/steering/pepsal-iptables together with those of a site: connection tracking, NAT, segment
# size limits, bridges, QUIC, another variant of iptables, renamed interfaces. Each with a control without PEPsal.
# Usage: iptables_site_test.sh [CASE…]; without names every case is run. Needs root.
# shellcheck source=tests/integration/iptables_ground.sh disable=SC2119
source "$(dirname "$0")/iptables_ground.sh"

reports() { # action text; status or check exits 1 and has the text
  local said got=0
  said=$(rules "$1" --intercept client0 2>&1) || got=$?
  [[ $got == 1 && $said == *"$2"* ]] || wrong "$1 should say '$2' and exit 1, but exits $got: $said"
}

# A template that the site attaches first would override ours, and the server leg would leave with the client's address.
case_tracking_rule_of_the_site() {
  has_daemon || return 0
  set_up
  serve 80
  serve_in client 80
  both -t nat -A POSTROUTING -o server0 -j MASQUERADE
  both -t nat -A POSTROUTING -o client0 -j MASQUERADE
  both -t raw -N SITE
  both -t raw -A SITE -p tcp -j CT --ctevents new
  both -t raw -A PREROUTING -p udp -j ACCEPT
  both -t raw -A PREROUTING -j SITE
  both -t raw -A OUTPUT -j SITE
  talk_to_server 80 "$box4" "$box6" # the control
  talk_to_client 80 "$near4" "$near6"
  daemon
  rules start --intercept client0 --intercept server0
  talk_to_server 80 "$box4" "$box6"
  talk_to_client 80 "$near4" "$near6"
  expect "SYNs the daemon got" "2 2" "$(counted 'given to the daemon')"
  rules check >/dev/null || wrong "check finds fault with a jump before the site's rule: $(rules check 2>&1)"
  both -t raw -I PREROUTING -j SITE
  reports check "PREROUTING, before its rule 1, which tracks connections"
  reports status "PREROUTING, before its rule 1, which tracks connections"
  rules start --intercept client0 --intercept server0
  talk_to_server 80 "$box4" "$box6"
  talk_to_client 80 "$near4" "$near6"
  rules check >/dev/null || wrong "a second start leaves the jump where it is: $(rules check 2>&1)"
  expect "place of the site's first rule" "-A PREROUTING -j PEPSAL_PRE" \
    "$(tables -t raw -S PREROUTING | sed -n 2p)"
}

# iptables-save prints this with nothing after it.
case_tracking_rule_without_options() {
  set_up
  both -t raw -A PREROUTING -j CT
  rules start --intercept client0
  expect "place of the site's rule" "-A PREROUTING -j PEPSAL_PRE -A PREROUTING -j CT" \
    "$(tables -t raw -S PREROUTING | sed 1d | paste -sd ' ')"
}

# For an address that is routed to the box but not configured on any of its interfaces, only the site's NAT knows the
# server.
case_address_that_is_translated() {
  local mode
  has_daemon || return 0
  set_up
  serve 80
  serve_in client 80
  tables -t nat -A PREROUTING -d 203.0.113.7/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.1.0.2
  tables6 -t nat -A PREROUTING -d 2001:db8::7/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination fd01::2
  tables -t nat -A PREROUTING -d 203.0.113.5/32 -p tcp -m conntrack --ctstate NEW -m tcp --dport 80 -j DNAT \
    --to-destination 10.2.0.2
  tables6 -t nat -A PREROUTING -d 2001:db8::5/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination fd02::2
  talk 203.0.113.5 80 "$client4" # the control
  talk '[2001:db8::5]' 80 "$client6"
  talk_from server 203.0.113.7 80 "$server4"
  talk_from server '[2001:db8::7]' 80 "$server6"
  daemon
  for mode in tproxy redirect; do
    rules start --intercept client0 --intercept server0 --mode $mode
    talk 203.0.113.5 80 "$client4"
    talk '[2001:db8::5]' 80 "$client6"
    talk_from server 203.0.113.7 80 "$server4"
    talk_from server '[2001:db8::7]' 80 "$server6"
    expect "SYNs queued ($mode)" "0 0" "$(counted 'SYNs queued')"
    tables -t nat -A PREROUTING -d 203.0.113.6/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.2.0.2
    reports status "203.0.113.6/32"
    tables -t nat -D PREROUTING -d 203.0.113.6/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.2.0.2
    rules stop
  done
}

# A link of 1280 bytes between client and box that neither of them knows about, and that sends no ICMP. Connections from
# either side, and bytes both ways.
case_limit_of_the_segment_size() {
  local round name to
  has_daemon || return 0
  set_up
  serve 80
  serve_in client 80
  head -c 300000 /dev/zero | tr '\0' x >"$work/page"
  # Longer packets are lost at the end of the link, wherever they were segmented.
  in_namespace client ethtool -K box0 tso off gso off gro off >/dev/null 2>&1 || true
  box ethtool -K client0 tso off gso off gro off >/dev/null 2>&1 || true
  for to in iptables ip6tables; do
    in_namespace client "$to-$variant" -t raw -A PREROUTING -i box0 -m length --length 1281: -j DROP
    box "$to-$variant" -t raw -A PREROUTING -i client0 -m length --length 1281: -j DROP
  done
  for name in client server; do
    expect "bytes there and back from $name without the site's rule" 0 "$(echoed $name 10.1.0.2 10.2.0.2 5)"
  done
  both -t mangle -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1200
  for round in control tproxy redirect; do
    [[ $round == control ]] || rules start --intercept client0 --intercept server0 --mode $round
    [[ $round != tproxy ]] || daemon
    for name in client server; do
      expect "bytes there and back from $name ($round)" 300000 "$(echoed $name 10.1.0.2 10.2.0.2 20)"
      expect "bytes there and back from $name, IPv6 ($round)" 300000 "$(echoed $name '[fd01::2]' '[fd02::2]' 20)"
    done
    [[ $round == control ]] || expect "SYNs intercepted ($round)" "2 2" "$(counted intercepted)"
    rules stop
  done
}
echoed() { # namespace client server patience; bytes of the page that come back from the other one
  local to=$3
  [[ $1 == client ]] || to=$2
  in_namespace "$1" timeout "$4" socat -t 20 - "TCP:$to:80" <"$work/page" | tail -n +2 | wc -c
}

case_port_of_the_daemon() {
  local mode to
  has_daemon || return 0
  set_up
  serve 80 5000
  daemon
  for mode in tproxy redirect; do
    rules start --intercept client0 --mode $mode
    for to in 10.1.0.1 10.2.0.1 '[fd01::1]' '[fd02::1]'; do
      ! in_namespace client timeout 2 socat - "TCP:$to:5000" </dev/null >/dev/null 2>&1 || wrong "$to port 5000 answers"
      expect "connections that reached a proxy" 0 "$(refused_count)"
    done
    [[ $(counted 'port dropped') != "0 0" ]] || wrong "status counts no dropped SYN"
    rules stop
  done
  # Without rules, the daemon itself refuses them; and port 5000 of another host does not concern it.
  in_namespace client timeout 5 socat - TCP:10.1.0.1:5000 </dev/null >/dev/null 2>&1 || true
  wait_for "connection that the daemon refuses" refused_some
  rules start --intercept client0
  talk_to_server 5000 "$client4" "$client6"
}
refused_count() {
  box "$PEPSAL_BIN_DIR/pepsalctl" --instance "iptables-test-$variant" status | awk '$1 == "direct_connections_refused" { print $2 }'
}
refused_some() { (($(refused_count) > 0)); }

# Rules for a port other than the daemon's would have each connection dropped.
case_port_of_another_daemon() {
  local said
  has_daemon || return 0
  set_up
  serve 80
  rules start --intercept client0 --port 5001 # nobody serves the queue yet
  daemon
  said=$(rules check --port 5001 2>&1) && wrong "check finds no fault with port 5001"
  [[ $said == *"nobody listens at port 5001"*"connections are sent to port 5001"* ]] ||
    wrong "check says nothing of port 5001: $said"
  rules stop
  refused 1 "nobody listens at port 5001" rules start --intercept client0 --port 5001
  talk_to_server 80 "$client4" "$client6"
  rules start --intercept client0
  said=$(rules check 2>&1) || wrong "check finds fault with the daemon's port: $said"
  talk_to_server 80 "$client4" "$client6"
  expect "SYNs the daemon got" "1 1" "$(counted 'given to the daemon')"
  kill "$(<"$work/pepsal.pid")"
  wait_for "end of the daemon" nobody_listens_at 5000
  start_in box "$PEPSAL_BIN_DIR/pepsal" --instance "iptables-test-$variant" --port 5001 --drain-timeout 0
  wait_for "daemon at another port" listening box 5001 1
  reports status "connections are sent to port 5000, where nobody listens"
}
nobody_listens_at() { ! listening box "$1" 1; }

# Each SYN would bypass, because the rules would not see the queuer's answer.
case_marks_of_another_daemon() {
  local said
  has_daemon || return 0
  set_up
  serve 80
  rules start --intercept client0 --mark-shift 8 # there is no daemon to compare with yet
  daemon
  reports status "the daemon's --mark-shift (its mark is 0x30000)"
  said=$(rules check --mark-shift 8 2>&1) && wrong "check finds no fault with mark shift 8"
  [[ $said == *"has another --mark-shift: its mark is 0x30000, not 0x300"* ]] || wrong "check says: $said"
  talk_to_server 80 "$client4" "$client6"
  expect "SYNs the daemon got" "0 0" "$(counted 'given to the daemon')"
  rules stop
  refused 1 "has another one (its mark is 0x30000, not 0x300)" rules start --intercept client0 --mark-shift 8
  talk_to_server 80 "$client4" "$client6"
  rules start --intercept client0
  said=$(rules check 2>&1) || wrong "check finds fault with the daemon's mark shift: $said"
  talk_to_server 80 "$client4" "$client6"
  expect "SYNs the daemon got" "1 1" "$(counted 'given to the daemon')"
}

# Docker turns this on. TPROXY then has no effect, so connections bypass; redirect works.
case_bridge_passed_to_netfilter() {
  local said
  has_daemon || return 0
  set_up
  [[ -e /proc/sys/net/bridge ]] || return 0
  ip -n box link add br0 type bridge
  ip -n box address flush dev client0
  ip -n box link set client0 master br0
  ip -n box address add 10.1.0.1/24 dev br0
  ip -n box address add fd01::1/64 dev br0 nodad
  ip -n box link set br0 up
  box sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1
  serve 80
  serve_in client 80
  wait_for "way through the bridge" reaches 10.2.0.2
  talk_to_server 80 "$client4" "$client6" # the control
  talk_to_client 80 "$server4" "$server6"
  daemon
  said=$(rules start --intercept br0 2>&1) || wrong "start on a bridge: $said"
  [[ $said == *"IPv4 connections that arrive by bridge br0 bypass PEPsal"* ]] || wrong "start says nothing of the bridge: $said"
  talk_to_server 80 "$client4" "$client6"
  expect "SYNs queued from a bridge that netfilter sees" "0 0" "$(counted 'SYNs queued')"
  said=$(rules check --intercept br0 2>&1) && wrong "check finds no fault with the bridge"
  [[ $said == *"net.bridge.bridge-nf-call-ip6tables=0"* ]] || wrong "check says nothing of the bridge: $said"
  [[ $(rules check --intercept client0 2>&1) == *"name the bridge"* ]] || wrong "check takes a port of a bridge"
  # Towards the bridge, everything works.
  rules start --intercept server0
  talk_to_client 80 "$server4" "$server6"
  expect "SYNs the daemon got for hosts at the bridge" "1 1" "$(counted 'given to the daemon')"
  rules start --intercept br0
  box sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
  talk_to_server 80 "$client4" "$client6"
  expect "SYNs the daemon got from a bridge" "1 1" "$(counted 'given to the daemon')"
  box sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1
  rules start --intercept br0 --mode redirect
  talk_to_server 80 "$box4" "$box6"
  expect "SYNs the daemon got from a bridge by redirect" "1 1" "$(counted 'given to the daemon')"
}
reaches() { in_namespace client socat -u /dev/null "TCP:$1:80" 2>/dev/null; } # address

case_quic_rejected() {
  local said to
  set_up
  start_in server socat -t 5 UDP4-RECVFROM:443,fork 'SYSTEM:echo answer'
  start_in server socat -t 5 UDP6-RECVFROM:443,fork,ipv6only=1 'SYSTEM:echo answer'
  wait_for "QUIC server" bound_udp
  expect "answer by UDP without PEPsal" answer "$(datagram 10.2.0.2)"
  expect "answer by UDP without PEPsal, IPv6" answer "$(datagram '[fd02::2]')"
  both -A FORWARD -p udp -j ACCEPT
  rules start --intercept client0 --quic reject --exclude 10.2.0.0/24 --exclude fd02::/64
  expect "answer by UDP from an excluded network" answer "$(datagram 10.2.0.2)"
  expect "answer by UDP from an excluded network, IPv6" answer "$(datagram '[fd02::2]')"
  rules start --intercept client0 --quic reject
  for to in 10.2.0.2 '[fd02::2]'; do
    said=$(datagram "$to")
    [[ $said == *"Connection refused"* ]] || wrong "UDP 443 to $to is not refused: $said"
  done
  [[ $(counted 'QUIC packets rejected') == "1 1" ]] || wrong "QUIC packets counted: $(counted 'QUIC packets rejected')"
  rules start --intercept client0
  expect "answer by UDP without --quic" answer "$(datagram 10.2.0.2)"
  [[ $(rules status) != *QUIC* ]] || wrong "status speaks of QUIC without --quic"
  rules stop
  refused 2 "--ports 80 leaves port 443 out" rules start --intercept client0 --quic reject --ports 80
  refused 2 "'yes' is not reject or off" rules start --intercept client0 --quic yes
}
# What comes back, which may take a while on a busy machine.
datagram() { # ADDRESS
  local patience said
  for patience in 1 3 10 20; do
    said=$(echo question | in_namespace client socat -t $patience - "UDP:$1:443" 2>&1 || true)
    [[ -z $said ]] || break
  done
  echo "$said"
}
bound_udp() { (($(in_namespace server ss -Hlun 'sport = :443' | wc -l) >= 2)); }

case_other_variant_of_iptables() {
  local other=legacy said was
  [[ $variant == nft ]] || other=nft
  set_up
  box env IPTABLES=iptables-$other IP6TABLES=ip6tables-$other "$script" start --intercept client0
  refused 1 "iptables-$other; remove them first" rules start --intercept client0
  reports status "also has rules in iptables-$other"
  reports check "also has rules in ip6tables-$other"
  said=$(rules stop 2>&1)
  [[ $said == *"still has rules in iptables-$other"* ]] || wrong "stop says nothing of the other variant: $said"
  box env IPTABLES=iptables-$other IP6TABLES=ip6tables-$other "$script" stop
  rules start --intercept client0 || wrong "start after the other variant's stop"
  rules status >/dev/null || wrong "status: $(rules status)"
}

case_interface_renamed() {
  set_up
  rules start --intercept client0 --intercept 'ppp+'
  rules status >/dev/null || wrong "status: $(rules status)"
  ip -n box link set client0 down
  ip -n box link set client0 name lan0
  reports status "the interface client0 (renamed, or not there yet)"
  rules start --intercept lan0
  rules status >/dev/null || wrong "status after a start with the new name: $(rules status)"
  rules stop
}

run_cases "$@"
