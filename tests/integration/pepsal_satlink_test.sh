#!/usr/bin/env bash
# scripts/pepsal-satlink in a namespace: what it sets, that stop, a failed and an interrupted start put back exactly what
# was there, and bad input. Needs root.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
readonly root
readonly network=psl$$

if ((EUID != 0)); then
  echo "needs root to make network namespaces" >&2
  [[ ${CI-} != true ]] || exit 1
  exit 77
fi

failures=0
wrong() {
  printf 'FAILED: %s: %s\n' "$case" "$*"
  failures=$((failures + 1))
}

work=$(mktemp -d)
finish() {
  satlink stop --interface sat0 2>/dev/null || true
  satlink stop --interface sat1 2>/dev/null || true
  ip netns del $network 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

inside() { ip netns exec $network "$@"; }
satlink() { inside "$root/scripts/pepsal-satlink" "$@"; }
start() { satlink start --interface sat0 --rate 20/0.5 --rtt 600 --side terminal; }

everything() {
  inside tc qdisc show
  inside ip -4 route show table all
  inside ip -6 route show table all
  inside sysctl -a 2>/dev/null | grep -E '^net\.(ipv4|ipv6|core)\.' | grep -v -E 'random|dentry|nr_'
  inside grep . /sys/class/net/sat0/gro_flush_timeout /sys/class/net/sat0/napi_defer_hard_irqs
}

expect_unchanged() {
  everything >"$work/now"
  diff "$work/before" "$work/now" >"$work/difference" || wrong "not as before: $(cat "$work/difference")"
}

setting() { inside sysctl -n "$1" | tr '\t' ' '; }

set_up() {
  ip netns add $network
  ip -n $network link set lo up
  ip -n $network link add sat0 type veth peer name far0
  ip -n $network link add sat1 type veth peer name far1
  for name in sat0 far0 sat1 far1; do ip -n $network link set $name up; done
  ip -n $network addr add 192.0.2.1/24 dev sat0
  ip -n $network addr add 2001:db8::1/64 dev sat0 nodad
  ip -n $network route add default via 192.0.2.2
  ip -n $network route add 198.51.100.0/24 via 192.0.2.3 dev sat0 metric 7 initcwnd 20
  ip -n $network route add 203.0.113.0/24 via 192.0.2.3 dev sat0 table 77
  ip -n $network -6 route add 2001:db8:1::/48 via 2001:db8::2 dev sat0
  sleep 2 # until IPv6's own routes have settled
  everything >"$work/before"
}

sets_what_it_says() {
  case=sets_what_it_says
  start
  # Sends 0.5 Mbit/s: 37 500 bytes in 600 ms are 26 segments of 1448. Receives 20: 1 500 000 are 1036.
  [[ $(inside ip route show default) == *"initcwnd 26 initrwnd 1036"* ]] || wrong "default route: $(inside ip route show default)"
  [[ $(inside ip route show table 77) == *"initcwnd 26"* ]] || wrong "a route of another table is left out"
  [[ $(inside ip route show 198.51.100.0/24) == *"metric 7 initcwnd 26"* ]] || wrong "a route keeps its old initial window"
  [[ $(inside ip -6 route show 2001:db8:1::/48) == *"initcwnd 26"* ]] || wrong "an IPv6 route is left out"
  inside tc class show dev sat0 | grep -qE 'rate 4924[0-9]{2}bit' || wrong "not shaped to 98.5 %: $(inside tc class show dev sat0)"
  (($(setting net.ipv4.tcp_rmem | cut -d ' ' -f 3) >= 6000000)) || wrong "tcp_rmem is $(setting net.ipv4.tcp_rmem)"
  (($(setting net.ipv4.tcp_slow_start_after_idle) == 0)) || wrong "tcp_slow_start_after_idle is not set"
  (($(setting net.ipv4.tcp_fastopen) & 3)) || wrong "Fast Open is off"
  [[ $(inside cat /sys/class/net/sat0/gro_flush_timeout) == 5547000 ]] || wrong "acknowledgements are not thinned"
  satlink status --interface sat0 >"$work/status" || wrong "status fails"
  grep -q "terminal of a link of 20/0.5 Mbit/s" "$work/status" || wrong "status says '$(cat "$work/status")'"
  satlink stop --interface sat0
  expect_unchanged
  local status=0
  satlink status --interface sat0 >/dev/null || status=$?
  ((status == 3)) || wrong "status of what is not prepared is $status"
}

again_and_again() {
  case=again_and_again
  start
  satlink start --interface sat0 --rate 250/3 --rtt 650
  (($(setting net.ipv4.tcp_rmem | cut -d ' ' -f 3) >= 81250000)) || wrong "the second start's values are not in force"
  start
  satlink stop --interface sat0
  satlink stop --interface sat0
  expect_unchanged
}

# Sysctls belong to both links; the one that stops last puts them back.
two_links() {
  case=two_links
  start
  satlink start --interface sat1 --rate 10/2 --rtt 600
  satlink stop --interface sat0
  [[ $(setting net.ipv4.tcp_slow_start_after_idle) == 0 ]] || wrong "the first stop takes the sysctls from the second link"
  satlink stop --interface sat1
  expect_unchanged
}

# With a tc that fails, or that waits until the start is interrupted, at its last step.
undone() {
  local status pid try
  case=failed_start
  mkdir -p "$work/bin"
  printf '#!/bin/sh\ncase "$*" in *class*) exit 1 ;; esac\nexec %s "$@"\n' "$(type -P tc)" >"$work/bin/tc"
  chmod +x "$work/bin/tc"
  status=0
  PATH=$work/bin:$PATH start 2>"$work/error" || status=$?
  ((status == 1)) || wrong "ends with $status"
  expect_unchanged

  case=interrupted_start
  printf '#!/bin/sh\ncase "$*" in *class*) touch %s/waits; sleep 1 ;; esac\nexec %s "$@"\n' "$work" "$(type -P tc)" >"$work/bin/tc"
  PATH=$work/bin:$PATH ip netns exec $network "$root/scripts/pepsal-satlink" start --interface sat0 --rate 20/5 --rtt 600 &
  pid=$!
  for ((try = 0; try < 200; try++)); do
    [[ -e $work/waits ]] && break
    sleep 0.05
  done
  kill -TERM $pid
  status=0
  wait $pid || status=$?
  ((status == 143)) || wrong "ends with $status"
  expect_unchanged
}

refused() { # STATUS TEXT ARGUMENT...
  local status=0
  satlink "${@:3}" >/dev/null 2>"$work/error" || status=$?
  ((status == $1)) || wrong "'${*:3}' ends with $status instead of $1"
  (($(wc -l <"$work/error") == 1)) || wrong "'${*:3}' says more or less than one line"
  grep -qF -- "$2" "$work/error" || wrong "'${*:3}' says '$(cat "$work/error")' instead of '$2'"
}

bad_input() {
  case=bad_input
  refused 2 "0/5" start --interface sat0 --rate 0/5 --rtt 600
  refused 2 "20" start --interface sat0 --rate 20 --rtt 600
  refused 2 "much" start --interface sat0 --rate much/5 --rtt 600
  refused 2 "10001" start --interface sat0 --rate 20/5 --rtt 10001
  refused 2 "fast" start --interface sat0 --rate 20/5 --rtt fast
  refused 2 "middle" start --interface sat0 --rate 20/5 --rtt 600 --side middle
  refused 2 "--rate" start --interface sat0
  refused 2 "--interface" start --rate 20/5 --rtt 600
  refused 2 "--speed" start --speed 3
  refused 2 "begin" begin --interface sat0
  refused 1 "sat9" start --interface sat9 --rate 20/5 --rtt 600
  inside tc qdisc add dev sat0 root pfifo
  refused 1 "pfifo" start --interface sat0 --rate 20/5 --rtt 600
  inside tc qdisc del dev sat0 root
  expect_unchanged
}

set_up
sets_what_it_says
again_and_again
two_links
undone
bad_input

((failures == 0)) || exit 1
echo "all cases pass"
