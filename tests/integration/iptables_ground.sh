# The environment of the tests of scripts/steering/pepsal-iptables, which source this first: client - box - server in
# namespaces, both variants of iptables, both address families, real connections, and the daemon if PEPSAL_BIN_DIR names
# a folder that has it. Everything runs in mount, network and process namespaces of its own, so that nothing is left
# however it ends. Needs root.
# shellcheck shell=bash disable=SC2034,SC2120
set -euo pipefail

test_file=$(readlink -f "$0")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/shell.sh
source tests/support/shell.sh
readonly test_file script=$PWD/scripts/steering/pepsal-iptables

if [[ ${1-} != --inside ]]; then
  need_root "to make network namespaces"
  need_programs haproxy ip ip6tables-legacy ip6tables-nft iptables-legacy iptables-nft nft socat ss
  exec unshare --mount --net --pid --fork --kill-child --mount-proc "$test_file" --inside "$@"
fi
shift
mkdir -p /run/netns /run/pepsal
mount -t tmpfs tmpfs /run/netns
mount -t tmpfs tmpfs /run/pepsal # control sockets: parallel tests have instances of the same names
mount -t tmpfs tmpfs /dev/shm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

variant=nft
background=()

wrong() { # never in a subshell, where the count would be lost
  printf 'FAILED: %s (%s): %s\n' "$case" "$variant" "$*"
  failures=$((failures + 1))
}

box() { in_namespace box "$@"; }
rules() { box env IPTABLES="iptables-$variant" IP6TABLES="ip6tables-$variant" "$script" "$@"; }
tables() { box "iptables-$variant" "$@"; }
tables6() { box "ip6tables-$variant" "$@"; }

both() { # arguments; by iptables and ip6tables
  tables "$@"
  tables6 "$@"
}

start_in() { # namespace command…
  nsenter --net="/run/netns/$1" "${@:2}" </dev/null >>"$work/background.log" 2>&1 & # itself, not a subshell, is signalled
  background+=($!)
}

wait_for() { # what command…; waits for it to succeed
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
    in_namespace $name sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  done
  ip link add client0 netns box type veth peer name box0 netns client
  ip link add server0 netns box type veth peer name box0 netns server
  ip -n client -batch - <<<'link set lo up
    address add 10.1.0.2/24 dev box0
    address add fd01::2/64 dev box0 nodad
    link set box0 up'
  ip -n server -batch - <<<'link set lo up
    address add 10.2.0.2/24 dev box0
    address add 10.9.0.1/32 dev lo
    address add fd02::2/64 dev box0 nodad
    link set box0 up'
  ip -n box -batch - <<<'link set lo up
    address add 10.1.0.1/24 dev client0
    address add fd01::1/64 dev client0 nodad
    address add 10.2.0.1/24 dev server0
    address add fd02::1/64 dev server0 nodad
    link set client0 up
    link set server0 up
    route add 10.9.0.0/24 via 10.2.0.2'
  ip -n client -batch - <<<'route add default via 10.1.0.1
    route add default via fd01::1'
  ip -n server -batch - <<<'route add default via 10.2.0.1
    route add default via fd02::1'
  box sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  for name in client0 server0; do wait_for "IPv6 route of $name" has_own_routes $name; done
}

# IPv6 creates routes of its own a little later; the anycast one comes last.
has_own_routes() { [[ $(ip -n box -6 route show table local dev "$1") == *"anycast fe80::"* ]]; } # interface

# What must not differ. The legacy variant cannot remove a table, and an empty open table does nothing.
snapshot() {
  {
    if [[ $variant == nft ]]; then
      # More than iptables-save shows; sorted, because chains appear in order of creation.
      box nft list ruleset 2>/dev/null | sed 's/counter packets [0-9]* bytes [0-9]*/counter/' | sort
      tables-save && tables6-save
    else
      { tables-save && tables6-save; } | awk '
        /^\*/ { text = ""; used = 0 }
        { text = text $0 "\n" }
        /^-A/ || (/^:/ && $2 != "ACCEPT") { used = 1 }
        /^COMMIT/ && used { printf "%s", text }'
    fi
    # shellcheck disable=SC2016 # expanded there
    box bash -c 'for family in 4 6; do ip -$family rule; ip -$family route show table all; done
      echo "tcp_early_demux = $(</proc/sys/net/ipv4/tcp_early_demux)"'
  } | sed '/^#/d; s/\[[0-9]*:[0-9]*\]//; s/ expires [0-9]*sec//'
}
tables-save() { box "iptables-$variant-save" 2>/dev/null; }
tables6-save() { box "ip6tables-$variant-save" 2>/dev/null; }

same() { # what before after
  [[ $2 == "$3" ]] || wrong "$1 differs:"$'\n'"$(diff <(echo "$2") <(echo "$3") || true)"
}

# Runs a command that must fail with an exit code and one line on stderr that contains a text, and change nothing.
refused() { # exit-code text command…
  local code=$1 text=$2 was said got=0
  shift 2
  was=$(snapshot)
  said=$("$@" 2>&1 >/dev/null) || got=$?
  [[ $got == "$code" ]] || wrong "'${*:2}' exits $got, not $code: $said"
  [[ $said == *"$text"* && $said != *$'\n'* ]] || wrong "'${*:2}' should say '$text' in one line, but says: $said"
  same "after '${*:2}' the box" "$was" "$(snapshot)"
}

# The client as the server sees it, and the box when it masquerades.
readonly client4=10.1.0.2 client6='[fd01:0000:0000:0000:0000:0000:0000:0002]'
readonly box4=10.2.0.1 box6='[fd02:0000:0000:0000:0000:0000:0000:0001]'
# And when the server is the client: itself, and the box on the other side.
readonly server4=10.2.0.2 server6='[fd02:0000:0000:0000:0000:0000:0000:0002]'
readonly near4=10.1.0.1 near6='[fd01:0000:0000:0000:0000:0000:0000:0001]'

# A server that says where each connection seems to come from, and echoes what it gets.
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
    wait_for "server on port $port" listening "$name" "$port" 2
  done
}

listening() { (($(in_namespace "$1" ss -Hltn "sport = :$2" | wc -l) >= $3)); } # namespace port sockets

talk() { talk_from client "$@"; } # address port source-the-server-should-see, or nothing when it may be any

talk_from() { # namespace address port source, as talk
  local said
  said=$(echo to and fro | in_namespace "$1" timeout 20 socat -t 20 - "TCP:$2:$3") || true
  [[ -n $4 ]] || said="from "$'\n'"${said#*$'\n'}"
  expect "connection from $1 to $2 port $3" "from $4 to and fro" "${said//$'\n'/ }"
}

talk_to_server() { # port what-the-server-sees-of-IPv4 and-of-IPv6
  talk 10.2.0.2 "$1" "$2"
  talk '[fd02::2]' "$1" "$3"
}

talk_to_client() { # port what-the-client-sees-of-IPv4 and-of-IPv6; the same from the other side
  talk_from server 10.1.0.2 "$1" "$2"
  talk_from server '[fd01::2]' "$1" "$3"
}

counts() { [[ $(counted "$1") == "$2" ]]; } # name numbers

counted() { rules status "${@:2}" | sed -n "s/.*$1 \([0-9]*\).*/\1/p" | paste -sd ' '; } # IPv4 and IPv6

expect() { # what wanted got
  [[ $2 == "$3" ]] || wrong "$1: '$3' instead of '$2'"
}

has_daemon() {
  [[ ! -x ${PEPSAL_BIN_DIR-}/pepsal ]] || return 0
  if [[ ${CI-} == true ]]; then wrong "PEPSAL_BIN_DIR has no pepsal"; fi
  echo "without the daemon, as PEPSAL_BIN_DIR has no pepsal:"
  return 1
}

daemon() { # options…
  [[ " $* " == *" --drain-timeout "* ]] || set -- --drain-timeout 0 "$@"
  start_in box "$PEPSAL_BIN_DIR/pepsal" --instance "iptables-test-$variant" --pidfile "$work/pepsal.pid" "$@"
  wait_for "queuer" box grep -q '^ *0 ' /proc/net/netfilter/nfnetlink_queue
  wait_for "daemon" listening box 5000 1
}

# Runs the named cases, or all cases of the test, with each variant of iptables; ends the test.
run_cases() { # [CASE…]
  local was_failures
  local -a cases=("$@")
  cases=("$@")
  ((${#cases[@]})) || mapfile -t cases < <(declare -F | sed -n 's/^declare -f case_//p')
  for variant in nft legacy; do
    for case in "${cases[@]}"; do
      was_failures=$failures
      "case_$case"
      tear_down
      ((failures > was_failures)) || echo "ok $case ($variant)"
    done
  done
  ((failures == 0)) || exit 1
}
