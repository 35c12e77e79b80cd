#!/usr/bin/env bash
# Tests scripts/system/pepsal-satlink in network namespaces: what it sets, that every way out of it leaves exactly what was
# there, what it refuses; and, in a lab of scripts/lab/satlab, that ten downloads share the link. Needs root.
# PEPSAL_BIN_DIR names the folder of the programs.
# Usage: pepsal_satlink_test.sh [CASE…]; without names every case is run but those that take long (long_…).
set -euo pipefail

cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/shell.sh
source tests/support/shell.sh
readonly script=$PWD/scripts/system/pepsal-satlink
export PEPSAL_BIN_DIR=${PEPSAL_BIN_DIR:-$PWD/build/bin}
readonly test_file=$PWD/tests/integration/pepsal_satlink_test.sh

need_root "to make network namespaces"
need_programs ip tc sysctl nft ncat
# In namespaces of its own, so that nothing is left however it ends; but a lab has to be in the initial namespace, the
# only one where congestion controls can be allowed.
if [[ ${1-} == --inside ]]; then
  shift
  mount -t tmpfs tmpfs /run
  mkdir /run/netns
elif [[ ${1-} != long_* ]]; then
  exec unshare --mount --net --pid --fork --kill-child --mount-proc "$test_file" --inside "$@"
fi
readonly lab=psl$$
work=$(mktemp -d)
finish() {
  local role
  if scripts/lab/satlab --name $lab status >/dev/null 2>&1; then
    for role in term gw; do scripts/lab/satbox --name $lab stop $role >/dev/null 2>&1 || true; done
    scripts/lab/satlab --name $lab down
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- the ground ------------------------------------------------------------------------------------------------------

expect() { # what expected got
  [[ $2 == "$3" ]] || wrong "$1: '$3' instead of '$2'"
}

box() { ip netns exec box "$@"; }
satlink() { box "$script" "$@" --interface sat0; }
satlink_start() { satlink start --rate 50/10 --rtt 600 --side gateway "$@"; }

tear_down() {
  local name
  for name in box peer; do ip netns del $name 2>/dev/null || true; done
  rm -rf /run/pepsal-satlink
}

# IPv6 makes routes of its own, a little later.
settle() { # interface…
  local name try
  for name in "$@"; do
    for ((try = 0; try < 100; try++)); do
      [[ $(ip -n box -6 route show table all dev "$name") == *"local fe80::"*multicast* ]] && break
      sleep 0.1
    done
  done
}

# A box with the satellite at sat0 and its users at lan0, and routes of every kind across both.
set_up() {
  local name
  tear_down
  for name in box peer; do
    ip netns add $name
    ip netns exec $name sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  done
  for name in sat lan; do
    ip link add ${name}0 netns box type veth peer name ${name}1 netns peer
    ip -n box link set ${name}0 up
    ip -n peer link set ${name}1 up
  done
  ip -n box addr add 10.1.0.1/24 dev sat0
  ip -n box addr add fd01::1/64 dev sat0 nodad
  ip -n box addr add 10.2.0.1/24 dev lan0
  ip -n box addr add fd02::1/64 dev lan0 nodad
  ip -n box route add default via 10.1.0.2
  ip -n box route add 10.3.0.0/16 via 10.1.0.2 metric 7 mtu lock 1400 initcwnd 20 initrwnd 30 src 10.1.0.1
  ip -n box route add 10.4.0.0/16 via 10.1.0.2 dev sat0 table 100 onlink
  ip -n box route add 10.5.0.0/16 via 10.2.0.2
  ip -n box -6 route add default via fd01::2 metric 5
  ip -n box -6 route add fd03::/32 via fd01::2 advmss 1300 initcwnd 11
  ip -n box -6 route add fd04::/32 via fd01::2 table 100
  ip -n box -6 route add fd05::/32 via fd02::2
  settle sat0 lan0
}

# All that the script may touch, and all around it, but for what all namespaces share and others change meanwhile.
everything() {
  ip -n box -d -o link show
  tc -n box qdisc show
  tc -n box class show dev sat0
  box nft list ruleset
  ip -n box -4 route show table all
  ip -n box -6 route show table all
  box sysctl -a -r '^net\.' 2>/dev/null | grep -vE 'nf_conntrack_count|file-nr|neigh\.|allowed_congestion'
  box grep -r . /sys/class/net/sat0/{gro_flush_timeout,napi_defer_hard_irqs,tx_queue_len,mtu}
  find /run/pepsal-satlink -type f 2>/dev/null || true
}

note() { everything >"$work/before"; }

expect_as_noted() { # when
  everything >"$work/after"
  cmp -s "$work/before" "$work/after" ||
    wrong "$1 there remains:"$'\n'"$(diff "$work/before" "$work/after" | head -n 20)"
}

# ---- the cases -------------------------------------------------------------------------------------------------------

route_windows() { # family destination [table]: initcwnd and initrwnd
  ip -n box "-$1" route show "$2" table "${3:-main}" | sed -nE 's/.*initcwnd ([0-9]+) initrwnd ([0-9]+).*/\1 \2/p'
}

case_sets_what_it_says() {
  local state name
  set_up
  satlink_start
  # One BDP is 50 Mb/s × 600 ms = 3.75 MB, or 2589.8 segments of 1448 bytes.
  for name in default 10.1.0.0/24 10.3.0.0/16; do expect "windows to $name" "2590 2591" "$(route_windows 4 $name)"; done
  for name in default fd01::/64 fd03::/32; do expect "windows to $name" "2590 2591" "$(route_windows 6 $name)"; done
  expect "windows in another table" "2590 2591" "$(route_windows 4 10.4.0.0/16 100)"
  expect "windows in another table, IPv6" "2590 2591" "$(route_windows 6 fd04::/32 100)"
  expect "windows towards the users" "" "$(route_windows 4 10.5.0.0/16)$(route_windows 6 fd05::/32)"
  [[ $(ip -n box route show 10.3.0.0/16) == *"mtu lock 1400"* ]] || wrong "a route lost its MTU"
  [[ $(tc -n box class show dev sat0) == *"rate 49600Kbit"* ]] || wrong "shaped to: $(tc -n box class show dev sat0)"
  expect "fast open" 3 "$(box sysctl -n net.ipv4.tcp_fastopen)"
  expect "slow start after idle" 0 "$(box sysctl -n net.ipv4.tcp_slow_start_after_idle)"
  expect "metrics saved" 1 "$(box sysctl -n net.ipv4.tcp_no_metrics_save)"
  for name in tcp_rmem tcp_wmem; do
    (($(box sysctl -n net.ipv4.$name | cut -f 3) >= 4 * 3750000)) || wrong "$name is less than four times the BDP"
  done
  expect "flush timeout of a gateway" 0 "$(box cat /sys/class/net/sat0/gro_flush_timeout)"
  state=$(satlink status)
  [[ $state == *"49600Kbit"*"sent "*"dropped 0"*"backlog"*"initcwnd 2590"* ]] || wrong "status says: $state"

  satlink start --rate 250/3 --rtt 650 --side terminal
  # 3 Mb/s × 650 ms are 168.3 segments, 250 Mb/s × 650 ms 14027.9.
  expect "windows of a terminal" "168 14029" \
    "$(route_windows 4 default)"
  (($(box cat /sys/class/net/sat0/gro_flush_timeout) > 0)) || wrong "the acknowledgements of a narrow way back are not thinned"
  [[ $(tc -n box class show dev sat0) == *"rate 2976Kbit"* ]] || wrong "shaped to: $(tc -n box class show dev sat0)"

  satlink start --rate 10000/10000 --rtt 10000 --side gateway
  expect "windows of an absurd link" "65535 65535" "$(route_windows 4 default)"
  satlink start --rate 0.02/0.01 --rtt 1 --side terminal
  expect "windows of a thread" "10 10" "$(route_windows 4 default)"
}

# The link stands in the configuration once; an option replaces a part of it.
case_link_from_the_configuration() {
  set_up
  printf '%s\n' 'port = 5000' 'link = sat0 rate=50/10 rtt=600 side=gateway' 'link = lan0 rate=5/5 rtt=10 side=terminal' \
    >"$work/pepsal.conf"
  satlink start --config "$work/pepsal.conf"
  expect "windows" "2590 2591" "$(route_windows 4 default)"
  satlink start --config "$work/pepsal.conf" --rate 30/10
  expect "windows of another rate" "1554 1555" "$(route_windows 4 default)" # 30 Mb/s × 600 ms are 1553.9 segments
  satlink start --config "$work/pepsal.conf" --side terminal
  expect "windows of the other side" "518 2591" "$(route_windows 4 default)"
  echo 'link = sat0' >>"$work/pepsal.conf"
  refused 2 "$work/pepsal.conf:4: 'link sat0' stands in line 2 already" start --interface sat0 --config "$work/pepsal.conf"
}

case_stop_puts_everything_back() {
  set_up
  box sysctl -qw net.ipv4.tcp_fastopen=1024 net.ipv4.tcp_rmem="5000 60000 700000"
  note
  satlink_start
  satlink stop
  expect_as_noted "after stop"
  satlink_start --side terminal
  satlink_start
  everything >"$work/first"
  satlink_start
  everything >"$work/second"
  sed -i 's/refcnt.*//' "$work/first" "$work/second"
  cmp -s "$work/first" "$work/second" || wrong "a second start changes:"$'\n'"$(diff "$work/first" "$work/second")"
  satlink start --rate 0.5/20 --rtt 10 --side terminal
  satlink stop
  expect_as_noted "after several starts and a stop"
  satlink stop
  expect_as_noted "after a second stop"
  expect "status without start" 3 "$(satlink status >/dev/null && echo 0 || echo $?)"
  expect "status without start" "sat0: not prepared" "$(satlink status || true)"
}

# A change by someone else is not undone, and what has gone does not come back.
case_routes_that_have_gone() {
  set_up
  satlink_start
  ip -n box route del 10.3.0.0/16
  ip -n box route add 10.6.0.0/16 via 10.1.0.2
  satlink stop
  expect "windows to the new route" "" "$(route_windows 4 10.6.0.0/16)"
  [[ -z $(ip -n box route show 10.3.0.0/16) ]] || wrong "stop made a route again"
  ip -n box link set sat0 down
  ip -n box link set sat0 up
  settle sat0
  ip -n peer link set sat1 down
  for ((try = 0; try < 100; try++)); do # the kernel marks the routes, a little later
    [[ $(ip -n box route show dev sat0) == *linkdown* ]] && break
    sleep 0.1
  done
  note
  satlink_start
  satlink stop
  expect_as_noted "after a stop without carrier"
}

# Sysctls are the namespace's, and remain until the last of its interfaces stops.
case_two_interfaces() {
  set_up
  note
  satlink_start
  box "$script" start --interface lan0 --rate 5/5 --rtt 100 --side gateway
  (($(box sysctl -n net.ipv4.tcp_rmem | cut -f 3) >= 4 * 3750000)) || wrong "the second start takes the first one's buffers"
  satlink stop
  expect "slow start after idle, one still there" 0 "$(box sysctl -n net.ipv4.tcp_slow_start_after_idle)"
  box "$script" stop --interface lan0
  expect_as_noted "after both"
}

case_interface_vanishes() {
  set_up
  note
  satlink_start
  ip -n box link del sat0
  satlink stop
  expect "slow start after idle" 1 "$(box sysctl -n net.ipv4.tcp_slow_start_after_idle)"
  expect "state files" "" "$(find /run/pepsal-satlink -type f)"
  # Another one of its name: what is remembered of the first is not for it.
  set_up
  satlink_start
  ip -n box link del sat0
  ip link add sat0 netns box type veth peer name sat1 netns peer
  ip -n box link set sat0 up
  ip -n box addr add 10.1.0.1/24 dev sat0
  [[ $(satlink status || true) == "sat0: not prepared; what was has gone"*"start --interface sat0" ]] ||
    wrong "status of another interface of that name: $(satlink status || true)"
  satlink_start
  satlink stop
  expect "slow start after idle" 1 "$(box sysctl -n net.ipv4.tcp_slow_start_after_idle)"
  # A namespace that got an earlier one's number: its state is not for this one.
  set_up
  note
  satlink_start
  sed -i '1s/ [0-9]* [0-9]*$/ 1 2/' /run/pepsal-satlink/*.sat0
  tc -n box qdisc del dev sat0 root
  expect "status with a foreign state file" "sat0: not prepared" "$(satlink status || true)"
  sysctl_before=$(box sysctl -n net.ipv4.tcp_slow_start_after_idle)
  satlink stop
  expect "sysctl after a stop with a foreign state file" "$sysctl_before" "$(box sysctl -n net.ipv4.tcp_slow_start_after_idle)"
}

# Packets wait in the shaper while the rate falls and rises, and none of them is lost.
case_change_loses_nothing() {
  local sent dropped
  set_up
  satlink start --rate 0.5/0.5 --rtt 600 --side gateway
  ip -n peer addr add 10.1.0.2/24 dev sat1
  # Some 75 kB at 60 kB/s; the answers that nobody listens are not of interest.
  box bash -c 'for ((i = 0; i < 60; i++)); do printf %1200s >/dev/udp/10.1.0.2/9; done' 2>/dev/null || true
  [[ $(tc -n box -s qdisc show dev sat0) == *"backlog "[1-9]* ]] || wrong "nothing waits in the shaper"
  refused 2 "--rate DOWN/UP is missing" change --interface sat0
  refused 2 "'rate=5'" change --interface sat0 --rate 5
  satlink change --rate 0.4/0.4
  [[ $(tc -n box class show dev sat0) == *"rate 396800bit"* ]] || wrong "shaped to: $(tc -n box class show dev sat0)"
  satlink change --rate 50/10
  expect "windows" "2590 2591" "$(route_windows 4 default)"
  [[ $(satlink status) == *"gateway of a link of 50/10 Mbit/s down/up, round trip 600 ms"* ]] || wrong "status: $(satlink status)"
  read -r sent dropped < <(tc -n box -s qdisc show dev sat0 | awk '/^ Sent/ { sub(/,/, "", $7); print $4, $7; exit }')
  ((sent >= 60 && dropped == 0)) || wrong "$sent packets sent, $dropped dropped"
  satlink stop
  refused 1 "not prepared" change --interface sat0 --rate 50/10
}

# A modem's rate counts more than the file's, whatever becomes of the interface, until a stop.
case_told_rate_holds() {
  set_up
  echo 'link = sat0 rate=50/10 rtt=600 side=gateway' >"$work/pepsal.conf"
  satlink start --config "$work/pepsal.conf"
  satlink change --rate 30/10
  satlink start --config "$work/pepsal.conf"
  [[ $(tc -n box class show dev sat0) == *"rate 29760Kbit"* ]] || wrong "after a start: $(tc -n box class show dev sat0)"
  [[ $(satlink status) == *"the rate is the last one told"* ]] || wrong "status says: $(satlink status)"
  ip -n box link del sat0
  ip link add sat0 netns box type veth peer name sat1 netns peer
  ip -n box link set sat0 up
  satlink start --config "$work/pepsal.conf"
  [[ $(tc -n box class show dev sat0) == *"rate 29760Kbit"* ]] || wrong "made again: $(tc -n box class show dev sat0)"
  satlink start --config "$work/pepsal.conf" --rate 20/10
  [[ $(satlink status) != *"last one told"* ]] || wrong "after a start with --rate, status says: $(satlink status)"
  satlink change --rate 30/10
  satlink stop
  satlink start --config "$work/pepsal.conf"
  [[ $(tc -n box class show dev sat0) == *"rate 49600Kbit"* ]] || wrong "after a stop: $(tc -n box class show dev sat0)"
}

missing() { satlink status | sed -n 's/^  missing: //p'; }

# A route that is new, an interface that was down, a shaper that somebody took away: status says so, start sets it right.
case_status_names_what_is_missing() {
  local status
  set_up
  satlink_start
  expect "missing" "" "$(missing)"
  ip -n box route add 10.6.0.0/16 via 10.1.0.2
  expect "missing" "the initial windows of route 10.6.0.0/16 via 10.1.0.2 (IPv4)" "$(missing)"
  status=0
  satlink status >/dev/null || status=$?
  expect "exit status" 1 $status
  satlink_start
  expect "missing after a start" "" "$(missing)"
  expect "windows to the new route" "2590 2591" "$(route_windows 4 10.6.0.0/16)"
  tc -n box qdisc del dev sat0 root
  expect "missing" "the shaper" "$(missing)"
  satlink_start
  expect "missing after a start" "" "$(missing)"
  ip -n box link set sat0 down
  [[ $(missing) == *"which is down"* ]] || wrong "of an interface that is down it says: $(satlink status)"
}

sent_by() { box tc -s class show dev sat0 classid "$1" | sed -n 's/^ Sent [0-9]* bytes \([0-9]*\) pkt.*/\1/p'; } # CLASS

# Sends three segments without data, by a raw socket.
send_segments() { # SOURCE DESTINATION FLAGS
  box python3 - "$@" <<'END'
import socket, struct, sys
source, destination, flags = sys.argv[1], sys.argv[2], int(sys.argv[3], 16)
family = socket.AF_INET6 if ":" in source else socket.AF_INET
with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
    raw.bind((source, 0))
    for _ in range(3):
        raw.sendto(struct.pack("!HHIIBBHHH", 1000, 2000, 1, 1, 5 << 4, flags, 1000, 0, 0), (destination, 0))
END
}

# Handshakes and acknowledgements go first. What ends a stream or pushes it would overtake the stream; a reset that did
# would not be believed.
case_ends_do_not_overtake() {
  local addresses flags small others
  set_up
  box ip address add fd00:1::1/64 dev sat0 nodad
  for addresses in 10.1.0.2 fd00:1::2; do box ip neigh replace "$addresses" lladdr 02:00:00:00:00:02 dev sat0 nud permanent; done
  satlink_start
  for addresses in "10.1.0.1 10.1.0.2" "fd00:1::1 fd00:1::2"; do
    for flags in 10:3 02:3 12:3 14:0 04:0 11:0 18:0; do
      small=$(sent_by 1:10) others=$(sent_by 1:20)
      # shellcheck disable=SC2086 # two addresses
      send_segments $addresses "${flags%:*}"
      (($(sent_by 1:10) == small + ${flags#*:} && $(sent_by 1:20) >= others + 3 - ${flags#*:})) ||
        wrong "$addresses: of three segments with flags ${flags%:*} $(($(sent_by 1:10) - small)) go first instead of ${flags#*:}"
    done
  done
}

retransmissions() { box sed -n '/^Tcp: [0-9]/p' /proc/net/snmp | cut -d ' ' -f 13; } # RetransSegs

# Sends one packet to the other side, which loses the first of each two with data; what came is in received.
send_one_packet() {
  local try listener
  rm -f "$work/received"
  ip netns exec peer nft -f - <<END
add table netdev loss
delete table netdev loss
table netdev loss {
  chain arriving {
    type filter hook ingress device "sat1" priority 0;
    meta l4proto tcp meta length > 100 numgen inc mod 2 0 drop
  }
}
END
  ip netns exec peer ncat -l --recv-only 10.1.0.2 7 >"$work/received" 2>/dev/null </dev/null &
  listener=$!
  for ((try = 0; try < 300; try++)); do
    [[ -z $(ip netns exec peer ss -Hltn 'sport = 7') ]] || break
    sleep 0.1
  done
  timeout 30 ip netns exec box ncat --send-only 10.1.0.2 7 <<<"$(printf '%0500d' 0)" || true
  for ((try = 0; try < 300; try++)); do
    [[ ! -s $work/received ]] || break
    sleep 0.1
  done
  kill $listener 2>/dev/null || true
  wait $listener || true
}

# A link that loses packets has the last ones sent once more, which spares a retransmission; without loss, and after
# --loss 0, it has not.
case_last_packets_are_sent_once_more() {
  local before
  set_up
  [[ $(satlink check) != *"copies of packets"* ]] || { echo "this kernel makes no copies of packets that leave"; return 0; }
  ip -n peer addr add 10.1.0.2/24 dev sat1
  note
  satlink_start
  expect "copies without loss" "" "$(box nft list ruleset)$(tc -n box class show dev sat0 classid 1:30)"
  before=$(retransmissions)
  send_one_packet
  expect "bytes that came without copies" 501 "$(wc -c <"$work/received")"
  (($(retransmissions) > before)) || wrong "a lost packet was not sent again: the case does not show what it should"

  satlink_start --loss 1
  [[ $(satlink status) == *"loss 1 %"*"sent once more: "* ]] || wrong "status says: $(satlink status)"
  ip -n box route change 10.1.0.0/24 dev sat0 src 10.1.0.1 rto_min 25s # timers come too late
  before=$(retransmissions)
  send_one_packet
  expect "bytes that came with copies" 501 "$(wc -c <"$work/received")"
  expect "retransmissions with copies" "$before" "$(retransmissions)"
  expect "dropped" 0 "$(satlink status | sed -n 's/.*dropped \([0-9]*\).*/\1/p')"

  box nft delete table netdev "$(box nft list tables netdev | sed -n 's/.* \(pepsal_repeats_[0-9]*\)$/\1/p')"
  [[ $(missing) == *"what is sent once more"* ]] || wrong "missing copies are not named: $(satlink status)"
  satlink_start --loss 2
  satlink change --rate 40/10
  [[ $(satlink status) == *"40/10"*"loss 2 %"* ]] || wrong "status after a change says: $(satlink status)"
  satlink_start
  expect "copies after a start without loss" "" "$(box nft list ruleset)$(tc -n box class show dev sat0 classid 1:30)"
  satlink_start --loss 1
  ip -n box route change 10.1.0.0/24 dev sat0 proto kernel scope link src 10.1.0.1
  satlink stop
  expect_as_noted "after a stop"
}

case_renamed_interface() {
  set_up
  note
  satlink_start
  ip -n box link set sat0 down
  ip -n box link set sat0 name sat9
  ip -n box link set sat9 up
  [[ $(box "$script" status --interface sat9) == "sat9: was prepared as sat0"* ]] ||
    wrong "status of a renamed interface: $(box "$script" status --interface sat9)"
  box "$script" stop --interface sat9 >/dev/null
  expect "shaper of the renamed interface" "" "$(tc -n box qdisc show dev sat9 | grep htb)"
  expect "state files" "" "$(find /run/pepsal-satlink -type f)"
}

# Without --interface, all links of the configuration.
case_all_links() {
  set_up
  note
  printf '%s\n' 'link = sat0 rate=50/10 rtt=600 side=gateway' 'link = lan0 rate=5/5 rtt=100 side=terminal' 'link = peer0' \
    >"$work/pepsal.conf"
  box "$script" start --config "$work/pepsal.conf"
  [[ $(box "$script" status) == *"gateway of a link of 50/10"* && $(box "$script" status) == *"terminal of a link of 5/5"* ]] ||
    wrong "status says: $(box "$script" status)"
  echo 'link = lan0 rate=5/5 rtt=100 side=terminal' >"$work/other.conf"
  box "$script" stop --config "$work/other.conf"
  [[ $(box "$script" status) == sat0:*"50/10"* && $(box "$script" status) != *"5/5"* ]] ||
    wrong "after the stop of another file's link, status says: $(box "$script" status)"
  box "$script" stop
  expect_as_noted "after stop"
  expect "status of none" 3 "$(box "$script" status >/dev/null && echo 0 || echo $?)"
}

prepared() { satlink status --config "$work/pepsal.conf" >/dev/null 2>&1; }

await_prepared() { # when
  local try
  for ((try = 0; try < 200; try++)); do
    ! prepared || return 0
    sleep 0.1
  done
  wrong "$1 it is not prepared: $(satlink status 2>&1 || true)"
}

# In the background: an interface that is not there yet, that was down, that is another one.
has_a_shaper() { [[ $(tc -n box qdisc show dev "$1" root) == "qdisc htb "* ]]; } # INTERFACE

case_watch_follows_the_interface() {
  local watcher
  set_up
  ip -n box link del sat0
  echo 'link = sat0 rate=50/10 rtt=600 side=gateway' >"$work/pepsal.conf"
  ip netns exec box "$script" watch --config "$work/pepsal.conf" >"$work/watch" 2>&1 &
  watcher=$!
  bring_satellite
  await_prepared "after it has come"
  expect "windows" "2590 2591" "$(route_windows 4 10.1.0.0/24)"
  ip -n box route add default via 10.1.0.2
  await_prepared "after a new default route"
  expect "windows of the default route" "2590 2591" "$(route_windows 4 default)"
  ip -n box link set sat0 down
  ip -n box link set sat0 up
  ip -n box route add default via 10.1.0.2
  await_prepared "after down and up"
  expect "windows after down and up" "2590 2591" "$(route_windows 4 default)"
  ip -n box link del sat0
  bring_satellite
  await_prepared "after it was made again"
  [[ $(tc -n box class show dev sat0) == *"rate 49600Kbit"* ]] || wrong "the new interface has no shaper"
  echo 'link = lan0 rate=5/5 rtt=100 side=gateway' >>"$work/pepsal.conf"
  kill -HUP $watcher
  eventually has_a_shaper lan0 || wrong "a link that the file has got is not prepared after SIGHUP"
  kill $watcher
  wait $watcher || wrong "watch ends with $?: $(cat "$work/watch")"
}

bring_satellite() {
  ip link add sat0 netns box type veth peer name sat1 netns peer
  ip -n peer link set sat1 up
  ip -n box addr add 10.1.0.1/24 dev sat0
  ip -n box link set sat0 up
}

# The real tc, but before a class is added something happens.
interfere() { # shell-commands
  mkdir -p "$work/bin"
  cat >"$work/bin/tc" <<END
#!/bin/sh
case "\$*" in *-batch*) $1 ;; esac
exec $(type -P tc) "\$@"
END
  chmod +x "$work/bin/tc"
}

start_with_interference() {
  ip netns exec box env PATH="$work/bin:$PATH" "$script" start --interface sat0 --rate 50/0.5 --rtt 600 --side terminal
}

case_start_that_does_not_end() {
  local status signal
  set_up
  note
  interfere 'exit 1'
  status=0
  start_with_interference 2>"$work/error" || status=$?
  expect "exit status" "1 1" "$status $(wc -l <"$work/error")"
  expect_as_noted "after a failed start"
  for signal in INT:130 TERM:143 HUP:129; do
    interfere "kill -${signal%:*} \$PPID; sleep 0.2"
    status=0
    start_with_interference 2>/dev/null || status=$?
    expect "exit status after ${signal%:*}" "${signal#*:}" "$status"
    expect_as_noted "after ${signal%:*}"
  done
  interfere "kill -KILL \$PPID; exit 1"
  (start_with_interference) 2>/dev/null && wrong "the start was not killed"
  [[ $(box sysctl -n net.ipv4.tcp_no_metrics_save) == 1 ]] || wrong "the start was killed too early for this case"
  satlink stop
  expect_as_noted "after a killed start and a stop"
  (start_with_interference) 2>/dev/null || true
  satlink_start
  satlink stop
  expect_as_noted "after a killed start, a start and a stop"
}

refused() { # status text option…
  local status=0 error
  error=$(box "$script" "${@:3}" 2>&1 >/dev/null) || status=$?
  expect "exit status of '${*:3}'" "$1" "$status"
  [[ $error == "pepsal-satlink: "*"$2"* && $error != *$'\n'* ]] || wrong "'${*:3}' says '$error', not one line with '$2'"
}

refused_when() { # shell-commands text
  local status=0
  box sh -c "$1 && '$script' start --interface sat0 --rate 50/0.5 --rtt 600 --side terminal" 2>"$work/error" || status=$?
  expect "exit status after '$1'" "1 1" "$status $(wc -l <"$work/error")"
  grep -qF "$2" "$work/error" || wrong "after '$1' it says '$(cat "$work/error")'"
  expect_as_noted "after '$1'"
}

# Any user may read its folder, and so lock that.
case_lock_is_roots() {
  local other
  set_up
  satlink_start
  setpriv --reuid=65534 --regid=65534 --clear-groups flock /run/pepsal-satlink sleep 100 &
  other=$!
  eventually is_locked /run/pepsal-satlink || wrong "the control: a user cannot lock the folder"
  flock /run/pepsal-satlink/lock timeout 2 ip netns exec box "$script" stop --interface sat0 && wrong "the lock of another one counts not"
  timeout 20 ip netns exec box "$script" stop --interface sat0 || wrong "a user's lock keeps it from its work"
  ! setpriv --reuid=65534 --regid=65534 --clear-groups flock -n /run/pepsal-satlink/lock true 2>/dev/null ||
    wrong "any user can lock it"
  kill $other
  wait $other || true
}
is_locked() { ! flock -n "$1" true; } # FILE

case_bad_input() {
  local value
  set_up
  note
  refused 2 "no action"
  refused 2 "'begin'" begin
  refused 2 "'stop'" start stop
  refused 2 "'--fast'" start --fast
  refused 2 "--rtt needs a value" start --interface sat0 --rtt
  refused 2 "--interface" start --rate 5/5 --rtt 5
  refused 2 "rate=DOWN/UP" start --interface sat0 --rtt 600 --side gateway
  refused 2 "rtt=MS" start --interface sat0 --rate 5/5 --side gateway
  refused 2 "side=gateway|terminal" start --interface sat0 --rate 5/5 --rtt 600
  refused 2 "the rates of sat0 are not known" start --interface sat0
  refused 2 "/nowhere.conf" start --interface sat0 --config /nowhere.conf
  refused 2 "'lo'" start --interface lo --rate 5/5 --rtt 600 --side gateway
  refused 2 "100000 is not from 0.01 to 10000 Mbit/s" start --interface sat0 --rate 100000/1 --rtt 600 --side gateway
  refused 2 "0.001 is not from 0.01 to 10000 Mbit/s" start --interface sat0 --rate 1/0.001 --rtt 600 --side gateway
  refused 2 "'../sat0'" status --interface ../sat0
  for value in 50 50/ /50 50/0 0/0.0 -5/5 5/5/5 5e3/5 10001/5 5,5/5 0x5/5 nan/5 inf/5; do
    refused 2 "'rate=$value'" start --interface sat0 --rtt 600 --side gateway --rate "$value"
  done
  refused 2 "' 5/5'" start --interface sat0 --rtt 600 --side gateway --rate ' 5/5'
  for value in 0 -1 10001 6s 99999999999999999999 600.; do
    refused 2 "'rtt=$value'" start --interface sat0 --rate 5/5 --side gateway --rtt "$value"
  done
  refused 2 "''" start --interface sat0 --rate 5/5 --side gateway --rtt ''
  for value in -1 51 1% 1,5 nan; do
    refused 2 "'loss=$value'" start --interface sat0 --rate 5/5 --rtt 600 --side gateway --loss "$value"
  done
  refused 2 "'side=middle'" start --interface sat0 --rate 5/5 --rtt 600 --side middle
  refused 1 "'sat9'" start --interface sat9 --rate 5/5 --rtt 600 --side gateway
  refused 1 "'sat9'" status --interface sat9
  expect_as_noted "after refusals"
  tc -n box qdisc add dev sat0 root handle 5: bfifo
  note
  refused 1 "bfifo" start --interface sat0 --rate 5/5 --rtt 600 --side gateway
  expect_as_noted "after refusing a foreign queueing discipline"
  box setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$script" start --interface sat0 --rate 5/5 --rtt 600 \
    --side gateway 2>"$work/error" && wrong "no complaint without CAP_NET_ADMIN"
  expect "without CAP_NET_ADMIN" "pepsal-satlink: needs CAP_NET_ADMIN; run it as root" "$(cat "$work/error")"
  # Only the network namespace is the box's here, not /sys.
  nsenter --net=/run/netns/box "$script" start --interface sat0 --rate 5/5 --rtt 600 --side gateway 2>"$work/error" &&
    wrong "no complaint about another namespace's /sys"
  grep -q "/sys/class/net" "$work/error" || wrong "about another namespace's /sys it says: $(cat "$work/error")"
  expect_as_noted "after more refusals"
  tc -n box qdisc del dev sat0 root
  note
  refused_when 'mount -o remount,ro /sys' "is /sys mounted read-only?"
  refused_when 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys' "is /proc/sys mounted read-only?"
}

case_check() {
  local answer
  set_up
  note
  answer=$(satlink check) || wrong "check names lacks: $answer"
  expect_as_noted "after check"
  box sh -c "mount -o remount,ro /sys && '$script' check --interface sat0" >"$work/answer" && wrong "check finds no fault"
  grep -q gro_flush_timeout "$work/answer" || wrong "check does not name what cannot be written: $(cat "$work/answer")"
}

# Flows, Jain's index and Mbit/s of ten downloads that start at once and run for 30 s.
ten_downloads() {
  local try
  timeout 60 ip netns exec $lab-server iperf3 -s -1 >/dev/null 2>&1 &
  for ((try = 0; try < 100; try++)); do
    ip netns exec $lab-server ss -ltnH 'sport = :5201' | grep . >/dev/null && break
    sleep 0.1
  done
  ip netns exec $lab-user iperf3 -c 10.81.3.2 -R -P 10 -t 30 -f m >"$work/iperf" 2>&1 || tail -n 3 "$work/iperf" >&2
  wait
  awk '/receiver/ && !/SUM/ { n++; rate = $7; sum += rate; squares += rate * rate }
    END { print n + 0, squares ? sum * sum / n / squares : 0, sum + 0 }' "$work/iperf"
}

# Ten downloads that start at once over two boxes have equal shares over 30 s, and the satellite's queue loses nothing.
case_long_ten_flows() {
  local role answer try
  [[ -x ${PEPSAL_BIN_DIR-}/pepsal ]] || { wrong "PEPSAL_BIN_DIR names no folder with pepsal"; return; }
  export SATSIM=$PEPSAL_BIN_DIR/satsim
  printf '%s\n' DOWN_MBIT=50 UP_MBIT=10 RTT_MS=600 QUEUE_BDP=1 >"$work/link.conf"
  scripts/lab/satlab --name $lab up "$work/link.conf" >/dev/null
  for role in gw term; do scripts/lab/satbox --name $lab start $role; done
  # A machine that stands still for a moment lets some flows fall behind: three tries.
  for ((try = 0; try < 3; try++)); do
    answer=$(ten_downloads)
    awk '{ exit !($1 == 10 && $2 >= 0.95 && $3 > 25) }' <<<"$answer" && break
    echo "flows, Jain's index and Mbit/s were $answer"
  done
  ((try < 3)) || wrong "flows, Jain's index and Mbit/s are $answer instead of 10, 0.95 or more, nearly 50"
  answer+=" $(scripts/lab/satlab --name $lab stats | grep -o 'direction=down.* queue_drops=[0-9]*' | sed 's/direction.*queue/queue/')"
  [[ $answer == *" queue_drops=0" ]] || wrong "the satellite's queue lost packets: $answer"
  [[ $(ip netns exec $lab-gw "$script" status --interface sat0) == *" dropped 0,"* ]] || wrong "the shaper lost packets"
  echo "flows, Jain's index, Mbit/s, losses: $answer"
}

# ---- all of them -----------------------------------------------------------------------------------------------------

cases=("$@")
((${#cases[@]})) || mapfile -t cases < <(declare -F | sed -n 's/^declare -f case_//p' | grep -v '^long_')
for case in "${cases[@]}"; do
  was_failures=$failures
  "case_$case"
  [[ $case == long_* ]] || tear_down
  ((failures > was_failures)) || echo "ok $case"
done
end_test
