# Cases of pepsal_satlink_test.sh, which sources this: several interfaces, and interfaces that appear, disappear and are
# renamed.
# shellcheck shell=bash disable=SC2154

bring_satellite() {
  ip link add sat0 netns box type veth peer name sat1 netns peer
  ip -n peer link set sat1 up
  ip -n box addr add 10.1.0.1/24 dev sat0
  ip -n box link set sat0 up
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

# In the background: an interface that does not exist yet, that was down, that is replaced by another.
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
