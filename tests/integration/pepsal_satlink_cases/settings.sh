# Cases of pepsal_satlink_test.sh, which sources this: what a start sets, a change keeps, a stop restores and status
# shows.
# shellcheck shell=bash disable=SC2154

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

# The link is described in the configuration; an option replaces part of it.
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
  refused 2 "$work/pepsal.conf:4: 'link sat0' is already in line 2" start --interface sat0 --config "$work/pepsal.conf"
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

# A change by someone else is not undone, and what is gone does not come back.
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
  for ((try = 0; try < 100; try++)); do # the kernel marks the routes a little later
    [[ $(ip -n box route show dev sat0) == *linkdown* ]] && break
    sleep 0.1
  done
  note
  satlink_start
  satlink stop
  expect_as_noted "after a stop without carrier"
}

# Sysctls belong to the namespace, and remain until the last of its interfaces stops.
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
  # Another interface of the same name: what is recorded about the first does not apply to it.
  set_up
  satlink_start
  ip -n box link del sat0
  ip link add sat0 netns box type veth peer name sat1 netns peer
  ip -n box link set sat0 up
  ip -n box addr add 10.1.0.1/24 dev sat0
  [[ $(satlink status || true) == "sat0: not prepared: the interface has been created again"*"start --interface sat0" ]] ||
    wrong "status of another interface of that name: $(satlink status || true)"
  satlink_start
  satlink stop
  expect "slow start after idle" 1 "$(box sysctl -n net.ipv4.tcp_slow_start_after_idle)"
  # A namespace that got an earlier one's number: its state does not apply to this one.
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
  # Some 75 kB at 60 kB/s; the answers that nobody listens do not matter.
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

# A modem's rate overrides the file's, whatever happens to the interface, until a stop.
case_told_rate_holds() {
  set_up
  echo 'link = sat0 rate=50/10 rtt=600 side=gateway' >"$work/pepsal.conf"
  satlink start --config "$work/pepsal.conf"
  satlink change --rate 30/10
  satlink start --config "$work/pepsal.conf"
  [[ $(tc -n box class show dev sat0) == *"rate 29760Kbit"* ]] || wrong "after a start: $(tc -n box class show dev sat0)"
  [[ $(satlink status) == *"the rate was set by "* ]] || wrong "status says: $(satlink status)"
  ip -n box link del sat0
  ip link add sat0 netns box type veth peer name sat1 netns peer
  ip -n box link set sat0 up
  satlink start --config "$work/pepsal.conf"
  [[ $(tc -n box class show dev sat0) == *"rate 29760Kbit"* ]] || wrong "made again: $(tc -n box class show dev sat0)"
  satlink start --config "$work/pepsal.conf" --rate 20/10
  [[ $(satlink status) != *"the rate was set by "* ]] || wrong "after a start with --rate, status says: $(satlink status)"
  satlink change --rate 30/10
  satlink stop
  satlink start --config "$work/pepsal.conf"
  [[ $(tc -n box class show dev sat0) == *"rate 49600Kbit"* ]] || wrong "after a stop: $(tc -n box class show dev sat0)"
}

missing() { satlink status | sed -n 's/^  missing: //p'; }

# A new route, an interface that was down, a shaper that has been removed: status says so, start corrects it.
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
