#!/usr/bin/env bash
# Tests scripts/system/pepsal-satlink in network namespaces: what it sets, that however it ends exactly the previous
# state is restored, what it refuses; and, in a lab of scripts/lab/satlab, that ten downloads share the link. Needs
# root. PEPSAL_BIN_DIR names the folder of the programs. Usage: pepsal_satlink_test.sh [CASE…]; without names every case
# is run except those that take long (long_…).
set -euo pipefail

cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/shell.sh
source tests/support/shell.sh
readonly script=$PWD/scripts/system/pepsal-satlink
export PEPSAL_BIN_DIR=${PEPSAL_BIN_DIR:-$PWD/build/bin}
readonly test_file=$PWD/tests/integration/pepsal_satlink_test.sh

need_root "to make network namespaces"
need_programs ip tc sysctl nft ncat
# In namespaces of its own, so that nothing is left however it ends; but a lab must be in the initial namespace, the
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

# IPv6 creates routes of its own a little later.
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

# Everything that the script may touch, and everything around it, except what all namespaces share and others change
# meanwhile.
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

# shellcheck source=tests/integration/pepsal_satlink_cases/settings.sh
source tests/integration/pepsal_satlink_cases/settings.sh
# shellcheck source=tests/integration/pepsal_satlink_cases/shaper.sh
source tests/integration/pepsal_satlink_cases/shaper.sh
# shellcheck source=tests/integration/pepsal_satlink_cases/interfaces.sh
source tests/integration/pepsal_satlink_cases/interfaces.sh
# shellcheck source=tests/integration/pepsal_satlink_cases/refusals.sh
source tests/integration/pepsal_satlink_cases/refusals.sh

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
  # A machine that stalls for a moment lets some flows fall behind: three tries.
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
