#!/usr/bin/env bash
# Tests scripts/steering/pepsal-iptables with real namespaces, both variants of iptables, both address families, and real
# connections; with the daemon too where PEPSAL_BIN_DIR names a folder that has it. Needs root.
# All runs in mount, network and process namespaces of its own, so that nothing is left however it ends.
# Usage: iptables_test.sh [CASE…]; without names every case is run.
set -euo pipefail

cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/need.sh
source tests/support/need.sh
readonly script=$PWD/scripts/steering/pepsal-iptables
readonly test_file=$PWD/tests/integration/iptables_test.sh

if [[ ${1-} != --inside ]]; then
  need_root "to make network namespaces"
  need_programs haproxy ip ip6tables-legacy ip6tables-nft iptables-legacy iptables-nft nft socat ss
  exec unshare --mount --net --pid --fork --kill-child --mount-proc "$test_file" --inside "$@"
fi
shift
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- the ground ------------------------------------------------------------------------------------------------------

variant=nft
failures=0
case_name=
background=()

wrong() { # never in a subshell, where the count would be lost
  printf 'FAILED %s (%s): %s\n' "$case_name" "$variant" "$*"
  failures=$((failures + 1))
}

box() { ip netns exec box "$@"; }
rules() { box env IPTABLES="iptables-$variant" IP6TABLES="ip6tables-$variant" "$script" "$@"; }
tables() { box "iptables-$variant" "$@"; }
tables6() { box "ip6tables-$variant" "$@"; }

start_in() { # namespace command…
  ip netns exec "$@" </dev/null >>"$work/background.log" 2>&1 &
  background+=($!)
}

eventually() { # what command…; waits for it to succeed
  local what=$1 tries
  shift
  for ((tries = 0; tries < 200; tries++)); do
    ! "$@" || return 0
    sleep 0.1
  done
  wrong "in 20 s there is no $what; the programs said:"$'\n'"$(tail -n 20 "$work/background.log")"
}

tear_down() {
  local name
  for name in "${background[@]}"; do kill "$name" 2>/dev/null || true; done
  wait
  background=()
  for name in client box server; do ip netns del $name 2>/dev/null || true; done
}

# client (10.1.0.2) - box - server (10.2.0.2); the same in IPv6 with fd01::2 and fd02::2. Third-party addresses of the
# server, 10.9.0.x, are for --exclude.
set_up() {
  local name
  tear_down
  for name in client box server; do
    ip netns add $name
    ip netns exec $name sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    ip -n $name link set lo up
  done
  ip link add client0 netns box type veth peer name box0 netns client
  ip link add server0 netns box type veth peer name box0 netns server
  ip -n client address add 10.1.0.2/24 dev box0
  ip -n client address add fd01::2/64 dev box0 nodad
  ip -n box address add 10.1.0.1/24 dev client0
  ip -n box address add fd01::1/64 dev client0 nodad
  ip -n box address add 10.2.0.1/24 dev server0
  ip -n box address add fd02::1/64 dev server0 nodad
  ip -n server address add 10.2.0.2/24 dev box0
  ip -n server address add 10.9.0.1/32 dev lo
  ip -n server address add fd02::2/64 dev box0 nodad
  for name in client server; do ip -n $name link set box0 up; done
  for name in client0 server0; do ip -n box link set $name up; done
  ip -n client route add default via 10.1.0.1
  ip -n client -6 route add default via fd01::1
  ip -n server route add default via 10.2.0.1
  ip -n server -6 route add default via fd02::1
  ip -n box route add 10.9.0.0/24 via 10.2.0.2
  box sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  for name in client0 server0; do eventually "IPv6 route of $name" has_own_routes $name; done
}

# IPv6 makes routes of its own, a little later; the anycast one comes last.
has_own_routes() { [[ $(ip -n box -6 route show table local dev "$1") == *"anycast fe80::"* ]]; } # interface

# What may not differ. The legacy variant cannot take a table away again, and an empty open table does nothing.
snapshot() {
  {
    if [[ $variant == nft ]]; then
      # More than iptables-save tells; sorted, as chains stand in the order of their making.
      box nft list ruleset 2>/dev/null | sed 's/counter packets [0-9]* bytes [0-9]*/counter/' | sort
      tables-save && tables6-save
    else
      { tables-save && tables6-save; } | awk '
        /^\*/ { text = ""; used = 0 }
        { text = text $0 "\n" }
        /^-A/ || (/^:/ && $2 != "ACCEPT") { used = 1 }
        /^COMMIT/ && used { printf "%s", text }'
    fi
    ip -n box -4 rule
    ip -n box -6 rule
    ip -n box -4 route show table all
    ip -n box -6 route show table all
    box sysctl net.ipv4.tcp_early_demux
  } | grep -v '^#' | sed 's/\[[0-9]*:[0-9]*\]//; s/ expires [0-9]*sec//'
}
tables-save() { box "iptables-$variant-save" 2>/dev/null; }
tables6-save() { box "ip6tables-$variant-save" 2>/dev/null; }

same() { # what before after
  [[ $2 == "$3" ]] || wrong "$1 differs:"$'\n'"$(diff <(echo "$2") <(echo "$3") || true)"
}

# Runs a command that must fail with an exit code, one line on stderr that has a text in it, and no change.
refused() { # exit-code text command…
  local code=$1 text=$2 was said got=0
  shift 2
  was=$(snapshot)
  said=$("$@" 2>&1 >/dev/null) || got=$?
  [[ $got == "$code" ]] || wrong "'${*:2}' exits $got, not $code: $said"
  [[ $said == *"$text"* && $said != *$'\n'* ]] || wrong "'${*:2}' should say '$text' in one line, but says: $said"
  same "after '${*:2}' the box" "$was" "$(snapshot)"
}

# Rules, marks and routes of somebody else, some with names close to ours.
add_foreign() {
  local t
  for t in tables tables6; do
    $t -t raw -N PEPSALX_PRE
    $t -t raw -A PEPSALX_PRE -m comment --comment "pepsal of another kind" -j RETURN
    $t -t raw -A PREROUTING -p udp -j PEPSALX_PRE
    $t -t raw -A PREROUTING -p tcp --dport 9 -j MARK --set-xmark 0x100/0xff00
    $t -t raw -A OUTPUT -p udp --dport 9 -j CT --notrack
    $t -t mangle -N pepsal_pre
    $t -t mangle -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff00 --ctmask 0xff00
    $t -t mangle -A POSTROUTING -j CONNMARK --save-mark --nfmask 0xff00 --ctmask 0xff00
    $t -t mangle -P FORWARD DROP
    $t -t nat -A POSTROUTING -o server0 -j MASQUERADE
    $t -A FORWARD -m mark --mark 0x10000/0x70000 -j DROP
  done
  for t in -4 -6; do
    ip -n box $t rule add fwmark 0x100/0xff00 lookup 77 priority 1000
    ip -n box $t route add default dev server0 table 77
    ip -n box $t rule add iif server0 lookup main priority 119 protocol 80
    ip -n box $t route add blackhole default table 5020
  done
}

# ---- the cases -------------------------------------------------------------------------------------------------------

readonly -a full_options=(--intercept client0 --intercept 'ppp+' --queue 2:5 --port 5001 --exclude 10.9.0.0/24
  --exclude fd09::/64 --exclude 192.0.2.7 --ports '22,80,443,8000:8100,1:2,3:4,5:6,7:8,10:11,12:13,14:15,16,17,18')

case_restores_exactly() {
  local foreign mode options was during gone
  for foreign in without with; do
    set_up
    options="--intercept client0"
    [[ $foreign == without ]] || {
      options=${full_options[*]}
      add_foreign
    }
    was=$(snapshot)
    for mode in tproxy redirect; do
      # shellcheck disable=SC2086
      rules start --mode $mode $options || wrong "start --mode $mode $options"
      during=$(snapshot)
      [[ $during == *PEPSAL_ASK*NFQUEUE* || $during == *PEPSAL_ASK*queue* ]] || wrong "start adds no queue rule"
      [[ $mode == tproxy || $during == *"tcp_early_demux = 0"* ]] || wrong "start --mode redirect leaves early demux on"
      gone=$(comm -23 <(sort <<<"$was") <(sort <<<"$during") | grep -v early_demux || true)
      [[ -z $gone ]] || wrong "start --mode $mode takes away:"$'\n'"$gone"
      rules status >/dev/null || wrong "status --mode $mode: exit $?"
      rules stop || wrong "stop: exit $?"
      same "$foreign foreign rules, $mode $options: what stop leaves" "$was" "$(snapshot)"
    done
    rules stop || wrong "a second stop: exit $?"
    same "after a second stop the box" "$was" "$(snapshot)"
    status=0
    rules status >/dev/null || status=$?
    [[ $status == 3 ]] || wrong "status with nothing started: exit $status, not 3"
  done
}

case_same_result_however_often() {
  local was first second
  set_up
  was=$(snapshot)
  rules start "${full_options[@]}"
  first=$(snapshot)
  rules start "${full_options[@]}"
  same "a second start" "$first" "$(snapshot)"
  rules start --intercept server0 --mode redirect --mark-shift 8
  rules stop
  rules start --intercept server0 --mode redirect --mark-shift 8
  second=$(snapshot)
  rules start "${full_options[@]}"
  same "tproxy after redirect" "$first" "$(snapshot)"
  rules start --intercept server0 --mode redirect --mark-shift 8
  same "redirect after tproxy" "$second" "$(snapshot)"
  rules start --intercept client0 --table 901 --priority 901
  rules start --intercept client0 --table 902 --priority 902
  [[ $(ip -n box rule) != *"lookup 901"* ]] || wrong "the ip rule of an earlier table stays"
  rules stop
  same "after all of these, what stop leaves" "$was" "$(snapshot)"
}

case_stop_when_the_rules_are_flushed() {
  local was
  set_up
  tables -t filter -N SITE
  tables6 -t filter -N SITE
  was=$(snapshot)
  rules start --intercept client0 --table 4711 --priority 47
  for t in tables tables6; do
    $t -t raw -F
    $t -t raw -X
    $t -t mangle -F PREROUTING
  done
  rules stop || wrong "stop: exit $?"
  [[ $(snapshot) != *4711* && $(snapshot) != *PEPSAL* ]] || wrong "stop leaves:"$'\n'"$(snapshot | grep -E '4711|PEPSAL')"
  [[ $(snapshot) == *"SITE"* && $was == *"SITE"* ]] || wrong "stop takes a foreign chain away"
}

case_bad_input() {
  [[ $variant == nft ]] || return 0 # it never comes to the rules
  set_up
  rules start --intercept client0
  refused 2 "'begin'" rules begin
  refused 2 "no action" rules
  refused 2 "'now'" rules stop now
  refused 2 "'--colour'" rules start --colour
  refused 2 "--queue needs a value" rules start --intercept client0 --queue
  refused 2 "needs --intercept" rules start
  refused 2 "'lo'" rules start --intercept lo
  refused 2 "'a/b'" rules start --intercept a/b
  refused 2 "'interface-name-x'" rules start --intercept interface-name-x
  refused 2 "''" rules start --intercept ''
  refused 1 "'eth77'" rules start --intercept eth77
  refused 2 "'route'" rules start --intercept client0 --mode route
  refused 2 "'65536'" rules start --intercept client0 --queue 65536
  refused 2 "'3:1'" rules start --intercept client0 --queue 3:1
  refused 2 "'1:2:3'" rules start --intercept client0 --queue 1:2:3
  refused 2 "'-1'" rules start --intercept client0 --queue -1
  refused 2 "'0'" rules start --intercept client0 --port 0
  refused 2 "'65536'" rules start --intercept client0 --port 65536
  refused 2 "'http'" rules start --intercept client0 --port http
  refused 2 "'99999999999999999999'" rules start --intercept client0 --port 99999999999999999999
  refused 2 "'10.0.0.0/33'" rules start --intercept client0 --exclude 10.0.0.0/33
  refused 2 "'10.0.0.256'" rules start --intercept client0 --exclude 10.0.0.256
  refused 2 "'fd00::/129'" rules start --intercept client0 --exclude fd00::/129
  refused 2 "'fd00:::1'" rules start --intercept client0 --exclude fd00:::1
  refused 2 "'example.net'" rules start --intercept client0 --exclude example.net
  refused 2 "'80,'" rules start --intercept client0 --ports 80,
  refused 2 "'70000'" rules start --intercept client0 --ports 80,70000
  refused 2 "'90:80'" rules start --intercept client0 --ports 90:80
  refused 2 "'0'" rules start --intercept client0 --ports 0
  refused 2 "'29'" rules start --intercept client0 --mark-shift 29
  refused 2 "254" rules start --intercept client0 --table 254
  refused 2 "'main'" rules start --intercept client0 --table main
  refused 2 "'32766'" rules start --intercept client0 --priority 32766
  refused 2 "'a b'" rules start --intercept client0 --instance 'a b'
  refused 2 "''" rules start --intercept client0 --instance ''
}

# The folder of iptables' extensions without one of them: as a machine that lacks it.
without_extension() { # name
  rm -rf "$work/xtables"
  cp -r "$(dirname "$(find /usr/lib /usr/lib64 -name libxt_NFQUEUE.so 2>/dev/null | head -n 1)")" "$work/xtables"
  rm -f "$work/xtables/libxt_$1.so"
}

names() { # text command…; what check prints must have the text in it, and it must exit 1
  local text=$1 said got=0
  shift
  said=$("$@" 2>&1) || got=$?
  [[ $got == 1 && $said == *"$text"* ]] || wrong "'${*:2}' should name '$text' and exit 1, but exits $got: $said"
}

case_check_names_what_is_missing() {
  local said was extension
  set_up
  was=$(snapshot)
  said=$(rules check --intercept client0 2>&1) || wrong "check finds fault with a good box: $said"
  said=$(rules check --intercept client0 --mode redirect 2>&1) || wrong "check finds fault with a good box: $said"
  same "after check the box" "$was" "$(snapshot)"
  for extension in NFQUEUE CT socket addrtype multiport TPROXY; do
    without_extension $extension
    names "$extension does not work" rules_without check --intercept client0 --ports 80
  done
  without_extension TPROXY
  said=$(rules_without check --mode redirect 2>&1) || wrong "check --mode redirect asks for TPROXY: $said"
  names "interface eth77" rules check --intercept client0 --intercept eth77
  ip -n box link set server0 down
  names "server0 is down" rules check --intercept server0
  box sysctl -qw net.ipv4.ip_forward=0
  names "net.ipv4.ip_forward=1" rules check
  box sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=0
  names "net.ipv6.conf.all.forwarding=1" rules check
  box sysctl -qw net.ipv6.conf.all.forwarding=1
  names "net.ipv4.tcp_early_demux is 1" rules_without_sysctl check --mode redirect
  names "CAP_NET_ADMIN" box setpriv --bounding-set -net_admin "$script" check
  names "CAP_SYS_ADMIN" box setpriv --bounding-set -sys_admin "$script" check
  names "'no-iptables'" box env IPTABLES=no-iptables "$script" check
  tables -P INPUT DROP
  names "iptables-$variant -I INPUT -m mark --mark 0x80000/0x80000 -j ACCEPT" rules check
  tables -I INPUT -m mark --mark 0x80000/0x80000 -j ACCEPT
  said=$(rules check 2>&1) || wrong "check finds fault with an open INPUT: $said"
  ip -n box address flush dev client0
  names "client0 has no IPv4 address" rules check --intercept client0 --mode redirect
}

rules_without() { # as rules, with the folder of without_extension
  box env XTABLES_LIBDIR="$work/xtables" IPTABLES="iptables-$variant" IP6TABLES="ip6tables-$variant" "$script" "$@"
}

rules_without_sysctl() { # as rules, where /proc/sys may only be read, as in many containers
  # shellcheck disable=SC2016
  box env IPTABLES="iptables-$variant" IP6TABLES="ip6tables-$variant" unshare --mount sh -c '
    mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"' - "$script" "$@"
}

case_failing_start_is_undone() {
  local round
  set_up
  add_foreign
  for round in from-nothing from-redirect; do
    [[ $round == from-nothing ]] || rules start --intercept client0 --mode redirect
    [[ $round$variant != from-nothinglegacy ]] || continue # which the second round shows too
    without_extension NFQUEUE
    refused 1 '' rules_without start --intercept client0
    without_extension TPROXY
    refused 1 'table mangle' rules_without start --intercept client0 --table 700 --priority 700
    refused 1 "routing table 5020" rules start --intercept client0 --table 5020
    refused 1 "--priority" rules start --intercept client0 --priority 999
    # IPv6 fails when IPv4 stands already.
    printf '#!/bin/sh\nexec ip6tables-%s "$@"\n' "$variant" >"$work/half"
    printf '#!/bin/sh\nexec ip6tables-%s-save "$@"\n' "$variant" >"$work/half-save"
    printf '#!/bin/sh\ngrep -q PEPSAL_ASK && exit 1\n' >"$work/half-restore"
    chmod +x "$work"/half*
    refused 1 "IPv6" box env IPTABLES="iptables-$variant" IP6TABLES="$work/half" "$script" start --intercept client0
    refused 1 "'no-iptables'" box env IPTABLES=no-iptables "$script" start --intercept client0
    refused 1 CAP_NET_ADMIN box setpriv --bounding-set -net_admin "$script" start --intercept client0
  done
  rules stop
  refused 1 "cannot write 0 to /proc/sys/net/ipv4/tcp_early_demux" rules_without_sysctl start --intercept client0 \
    --mode redirect
  ip -n box link set lo down
  refused 1 "lo is down" rules start --intercept client0
}

case_interrupted_start_is_undone() {
  local was delay code pid undone=0
  set_up
  was=$(snapshot)
  for delay in 0.02 0.06 0.1 0.15 0.2 0.25 0.3 0.4 0.5 0.7; do
    ip netns exec box env IPTABLES="iptables-$variant" IP6TABLES="ip6tables-$variant" "$script" start \
      --intercept client0 &
    pid=$!
    sleep $delay
    kill -TERM $pid 2>/dev/null || true
    code=0
    wait $pid || code=$?
    if ((code)); then
      undone=$((undone + 1))
      same "after SIGTERM at $delay s the box" "$was" "$(snapshot)"
    fi
    rules stop
    same "after stop the box" "$was" "$(snapshot)"
  done
  ((undone)) || wrong "no start was interrupted; the delays are too long"
}

case_two_instances() {
  local was one two
  set_up
  was=$(snapshot)
  rules start --intercept client0 --ports 80
  one=$(snapshot)
  refused 1 "--mark-shift" rules start --instance two --intercept client0 --mark-shift 18
  refused 1 "--table" rules start --instance two --intercept client0 --mark-shift 20 --table 5016
  refused 1 "--priority" rules start --instance two --intercept client0 --mark-shift 20 --priority 119
  rules start --instance two --intercept client0 --ports 443 --mark-shift 20 --queue 1 --port 5001
  rules start --instance a-very-long-name-of-an.instance_1 --intercept server0 --mode redirect --mark-shift 24 --queue 2
  rules start --instance a-very-long-name-of-an.instance_2 --intercept server0 --mode redirect --mark-shift 28 --queue 3
  [[ $(rules status --instance two) == *"queue 1 "*"interfaces client0, ports 443"* ]] ||
    wrong "status of the second instance: $(rules status --instance two)"
  rules stop --instance a-very-long-name-of-an.instance_2
  [[ $(box sysctl -n net.ipv4.tcp_early_demux) == 0 ]] || wrong "early demux comes back while an instance needs it off"
  rules stop --instance a-very-long-name-of-an.instance_1
  two=$(snapshot)
  rules start --intercept client0 --ports 80
  same "the second instance, when the first is started again," "$two" "$(snapshot)"
  rules stop --instance two
  same "the first instance, when the second is stopped," "$one" "$(snapshot)"
  rules start --instance two --intercept client0 --ports 443 --mark-shift 20 --queue 1 --port 5001
  rules stop
  rules status --instance two >/dev/null || wrong "stopping the first instance breaks the second"
  rules stop --instance two
  same "what both leave" "$was" "$(snapshot)"
}

case_ipv6_disabled() {
  local was said
  set_up
  box sysctl -qw net.ipv6.conf.all.disable_ipv6=1
  was=$(snapshot)
  said=$(rules start --intercept client0 2>&1) || wrong "start: $said"
  [[ $said == *"IPv6 is disabled"* && $said != *$'\n'* ]] || wrong "start should say in one line that IPv6 is left out: $said"
  [[ $(tables6-save) != *PEPSAL* && $(tables-save) == *PEPSAL* ]] || wrong "start without IPv6 makes the wrong rules"
  rules status >/dev/null || wrong "status: exit $?"
  rules stop
  same "what stop leaves" "$was" "$(snapshot)"
}

# ---- connections -----------------------------------------------------------------------------------------------------

# What the server calls the client, and the box when it masquerades.
readonly client4=10.1.0.2 client6='[fd01:0000:0000:0000:0000:0000:0000:0002]'
readonly box4=10.2.0.1 box6='[fd02:0000:0000:0000:0000:0000:0000:0001]'

# A server that says where each connection seems to come from, and sends back what it gets.
serve() { serve_in server "$@"; } # port…

serve_in() { # namespace port…
  local port name=$1
  # shellcheck disable=SC2016
  local -r answer='SYSTEM:echo from $SOCAT_PEERADDR\; cat'
  shift
  for port in "$@"; do
    start_in "$name" socat -t 20 "TCP4-LISTEN:$port,fork,reuseaddr" "$answer"
    start_in "$name" socat -t 20 "TCP6-LISTEN:$port,fork,reuseaddr,ipv6-v6only=1" "$answer"
  done
  for port in "$@"; do
    eventually "server on port $port" listening "$name" "$port" 2
  done
}

listening() { (($(ip netns exec "$1" ss -Hltn "sport = :$2" | wc -l) >= $3)); } # namespace port sockets

talk() { # address port source-the-server-should-see, or nothing when it may be any
  local said
  said=$(echo to and fro | timeout 20 ip netns exec client socat -t 20 - "TCP:$1:$2") || true
  [[ -n $3 ]] || said=$(sed 's/^from .*/from /' <<<"$said")
  expect "connection to $1 port $2" "from $3 to and fro" "${said//$'\n'/ }"
}

counts() { [[ $(counted "$1") == "$2" ]]; } # name numbers

counted() { rules status "${@:2}" | sed -n "s/.*$1 \([0-9]*\).*/\1/p" | paste -sd ' '; } # IPv4 and IPv6

expect() { # what wanted got
  [[ $2 == "$3" ]] || wrong "$1: '$3' instead of '$2'"
}

case_direct_without_a_daemon() {
  local mode
  set_up
  serve 80 443
  for mode in tproxy redirect; do
    rules start --intercept client0 --mode $mode --ports 80,81:82 --exclude 10.9.0.0/24
    talk 10.2.0.2 80 "$client4"
    talk '[fd02::2]' 80 "$client6"
    expect "SYNs that reached the queue rule" "1 1" "$(counted 'SYNs queued')"
    talk 10.2.0.2 443 "$client4" # not one of the ports
    talk 10.9.0.1 80 "$client4"  # excluded
    expect "SYNs that reached the queue rule" "1 1" "$(counted 'SYNs queued')"
    [[ $(rules status) == *"nobody listens to 0"* ]] || wrong "status does not say that nobody listens: $(rules status)"
    rules stop
    tables -t nat -A POSTROUTING -o server0 -j MASQUERADE
    tables6 -t nat -A POSTROUTING -o server0 -j MASQUERADE
    rules start --intercept client0 --mode $mode
    talk 10.2.0.2 80 "$box4"
    talk '[fd02::2]' 80 "$box6"
    rules stop
    tables -t nat -F POSTROUTING
    tables6 -t nat -F POSTROUTING
  done
}

# HAProxy, transparent with rules of its own as its manual has them, goes on undisturbed on an interface that is not ours.
case_other_transparent_proxy_unharmed() {
  set_up
  serve 80
  cat >"$work/haproxy.cfg" <<END
defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen four
  bind :5555 transparent
  tcp-request connection set-mark 0x300
  source 0.0.0.0 usesrc clientip
  server s 10.2.0.2:80
listen six
  bind :::5555 transparent v6only
  tcp-request connection set-mark 0x300
  source :::0 usesrc clientip
  server s [fd02::2]:80
END
  start_in box haproxy -f "$work/haproxy.cfg" -db
  for t in tables tables6; do
    $t -t mangle -N DIVERT
    $t -t mangle -A DIVERT -j MARK --set-mark 1
    $t -t mangle -A DIVERT -j ACCEPT
    # All but the routing mark, which a handshake's last ACK gets: it is for this machine, too.
    $t -t mangle -A PREROUTING -m mark ! --mark 0x0/0xfff7ffff -m comment --comment marked
    $t -t mangle -A PREROUTING -p tcp -m socket --transparent -m comment --comment seen
    $t -t mangle -A PREROUTING -p tcp -m socket -j DIVERT
    $t -t mangle -A PREROUTING -i client0 -p tcp --dport 80 -j TPROXY --tproxy-mark 1 --on-port 5555
  done
  for t in -4 -6; do
    ip -n box $t rule add fwmark 1 lookup 100
    ip -n box $t route add local default dev lo table 100
  done
  eventually "HAProxy" listening box 5555 2
  rules start --intercept server0
  talk 10.2.0.2 80 "$client4"
  talk '[fd02::2]' 80 "$client6"
  for t in tables tables6; do
    [[ $($t -t mangle -nvxL PREROUTING | awk '/seen/ { print $1 }') != 0 ]] || wrong "$t: HAProxy's sockets are not seen"
    expect "$t: packets of HAProxy's with a mark not its own" 0 \
      "$($t -t mangle -nvxL PREROUTING | awk '/marked/ { print $1 }')"
  done
  rules stop
}

has_daemon() {
  [[ ! -x ${PEPSAL_BIN_DIR-}/pepsal ]] || return 0
  if [[ ${CI-} == true ]]; then wrong "PEPSAL_BIN_DIR has no pepsal"; fi
  echo "without the daemon, as PEPSAL_BIN_DIR has no pepsal:"
  return 1
}

daemon() { # options…
  start_in box "$PEPSAL_BIN_DIR/pepsal" --instance "iptables-test-$variant" --pidfile "$work/pepsal.pid" \
    --drain-timeout 0 "$@"
  eventually "queuer" box grep -q '^ *0 ' /proc/net/netfilter/nfnetlink_queue
  eventually "daemon" listening box 5000 1
}

case_with_the_daemon() {
  local mode masquerade four six
  has_daemon || return 0
  for mode in tproxy redirect; do
    for masquerade in without with; do
      set_up
      serve 80 443
      box sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.all.src_valid_mark=1
      four=$client4 six=$client6
      if [[ $masquerade == with ]]; then
        four=$box4 six=$box6
        tables -t nat -A POSTROUTING -o server0 -j MASQUERADE
        tables6 -t nat -A POSTROUTING -o server0 -j MASQUERADE
      fi
      if [[ $mode == tproxy ]]; then daemon; else daemon --source own; fi
      rules start --intercept client0 --mode $mode --ports 80
      case_name="with_the_daemon in $mode mode $masquerade MASQUERADE"
      talk 10.2.0.2 443 "$four" # past the daemon
      talk '[fd02::2]' 443 "$six"
      [[ $mode == tproxy ]] || four=$box4 six=$box6
      talk 10.2.0.2 80 "$four"
      talk '[fd02::2]' 80 "$six"
      expect "SYNs intercepted" "1 1" "$(counted intercepted)"
      expect "SYNs the daemon got" "1 1" "$(counted 'given to the daemon')"
      rules stop
    done
  done
  case_name=with_the_daemon
}

# To each address of the box: near and far, of either scope, and one that the box forwards to the server by DNAT. The
# control is the same without rules.
case_box_itself_never_intercepted() {
  local round near
  has_daemon || return 0
  set_up
  serve 80
  serve_in box 22 179
  near=$(ip -n box -6 -o address show dev client0 scope link | grep -o 'fe80::[0-9a-f:]*')
  tables -t nat -A PREROUTING -d 10.1.0.1 -p tcp --dport 8080 -j DNAT --to-destination 10.2.0.2:80
  tables6 -t nat -A PREROUTING -d fd01::1 -p tcp --dport 8080 -j DNAT --to-destination '[fd02::2]:80'
  daemon
  for round in control tproxy redirect; do
    case_name="box_itself_never_intercepted, $round"
    [[ $round == control ]] || rules start --intercept client0 --intercept server0 --mode "$round"
    talk 10.1.0.1 22 "$client4"
    talk 10.2.0.1 22 "$client4"
    talk '[fd01::1]' 22 "$client6"
    talk '[fd02::1]' 22 "$client6"
    talk "[$near%box0]" 179 ''
    talk 10.1.0.1 8080 "$client4"
    talk '[fd01::1]' 8080 "$client6"
    [[ $round == control ]] || expect "SYNs queued" "0 0" "$(counted 'SYNs queued')"
    rules stop
  done
  case_name=box_itself_never_intercepted
}

# With room for one connection the second is bypassed, and leaves without any of our marks.
case_bypassed_without_a_mark() {
  has_daemon || return 0
  set_up
  serve 80
  daemon --max-connections 1
  rules start --intercept client0
  tables -A FORWARD -p tcp --syn -m mark --mark 0x0/0xf0000 -m comment --comment clean
  tables -A FORWARD -p tcp --syn -m mark ! --mark 0x0/0xf0000 -m comment --comment marked
  start_in client sh -c 'sleep 30 | socat - TCP:10.2.0.2:80'
  eventually "intercepted connection" counts intercepted "1 0"
  talk 10.2.0.2 80 "$client4"
  expect "SYNs bypassed" "1 0" "$(counted bypassed)"
  expect "SYNs forwarded with and without a mark of ours" "0 1" \
    "$(tables -nvxL FORWARD | awk '/clean/ { c = $1 } /marked/ { m = $1 } END { print m, c }')"
}

# ---- all of them -----------------------------------------------------------------------------------------------------

cases=("$@")
((${#cases[@]})) || mapfile -t cases < <(declare -F | sed -n 's/^declare -f case_//p')
for variant in nft legacy; do
  for case_name in "${cases[@]}"; do
    was_failures=$failures
    "case_$case_name"
    tear_down
    ((failures > was_failures)) || echo "ok $case_name ($variant)"
  done
done
((failures == 0)) || exit 1
