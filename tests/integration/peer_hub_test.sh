#!/usr/bin/env bash
# One gateway and three terminals, each its own peer: connections take the warm connection of the terminal behind which
# their destination lies, in both directions and from one terminal to another. Needs root. PEPSAL_BIN_DIR names the
# folder of the programs.
set -euo pipefail

# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to make network namespaces"
need_programs ip iptables ncat python3

readonly net=phb$$ server=10.84.0.2
work=$(mktemp -d)
hosts=(gw server term1 term2 term3 user1 user2 user3)
declare -A daemon=()
inside() { ip netns exec "$net-$1" "${@:2}"; }
counter() { "$PEPSAL_BIN_DIR/pepsalctl" --instance "$net-$1" status | awk -v name="$2" '$1 == name { print $2 }'; }
peers_up() { # BOX NUMBER
  (($("$PEPSAL_BIN_DIR/pepsalctl" --instance "$net-$1" status | grep -c "^peer .* up .* ready=2 target=2$") == $2))
}

finish() {
  local host pid
  for pid in "${daemon[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for host in "${hosts[@]}"; do
    for pid in $(ip netns pids "$net-$host" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
    ip netns del "$net-$host" 2>/dev/null || true
    rm -f "/dev/shm/pepsal.$net-$host" "/run/pepsal/$net-$host".{pid,ctl}
  done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

serve_beside() { # HOST PORT COMMAND...
  setsid ip netns exec "$net-$1" "${@:3}" >/dev/null 2>&1 </dev/null &
  disown
  eventually listens "$net-$1" "$2" || wrong "nobody listens at port $2 of $1"
}

# wire HOST INTERFACE ADDRESS HOST INTERFACE ADDRESS
wire() {
  ip link add "$2" netns "$net-$1" type veth peer name "$5" netns "$net-$4"
  inside "$1" ip address add "$3" dev "$2"
  inside "$4" ip address add "$6" dev "$5"
  inside "$1" ip link set "$2" up
  inside "$4" ip link set "$5" up
}

start_box() { # BOX TERRESTRIAL-INTERFACE PEPSAL-OPTION...
  local box=$1 terrestrial=$2 link take=()
  shift 2
  daemon[$box]=$("$root/scripts/lab/launch.py" "$work/$box.log" ip netns exec "$net-$box" \
    "$PEPSAL_BIN_DIR/pepsal" --instance "$net-$box" --drain-timeout 1 "$@" 2>&1) || wrong "$box does not start: ${daemon[$box]}"
  for link in $(inside "$box" ls /sys/class/net 2>/dev/null | grep '^sat'); do take+=(--intercept "$link"); done
  inside "$box" "$root/scripts/steering/pepsal-iptables" start --instance "$net-$box" --intercept "$terrestrial" "${take[@]}"
}

set_up() {
  local host i
  for host in "${hosts[@]}"; do
    ip netns add "$net-$host"
    inside "$host" ip link set lo up
  done
  for host in gw term1 term2 term3; do inside "$host" sysctl -qw net.ipv4.ip_forward=1; done
  wire gw wan0 10.84.0.1/24 server eth0 $server/24
  inside server ip route add default via 10.84.0.1
  for i in 1 2 3; do
    wire "term$i" sat0 "10.9.$i.1/24" gw "sat$i" "10.9.$i.2/24"
    wire "user$i" eth0 "10.82.$i.2/24" "term$i" lan0 "10.82.$i.1/24"
    inside "user$i" ip route add default via "10.82.$i.1"
    inside "term$i" ip route add default via "10.9.$i.2"
    inside gw ip route add "10.82.$i.0/24" via "10.9.$i.1"
    serve_beside "user$i" 7001 ncat -lk -p 7001 --sh-exec "echo user$i"
  done
  serve_beside server 7001 ncat -lk -p 7001 --sh-exec "echo server"
}

says() { # HOST ADDRESS WORD: what the service there says first
  [[ $(inside "$1" timeout 10 ncat --recv-only "$2" 7001 2>/dev/null) == "$3" ]]
}

everybody_talks() {
  local i
  for i in 1 2 3; do
    says "user$i" $server server || wrong "user $i does not reach the server"
    says server "10.82.$i.2" "user$i" || wrong "the server does not reach user $i"
  done
  says user1 10.82.2.2 user2 || wrong "user 1 does not reach user 2"
}

refused_behind_two_boxes() {
  ! inside user1 timeout 10 ncat 10.82.2.2 7999 </dev/null 2>/dev/null || wrong "a connection to a closed port ends well"
}

stop_boxes() {
  kill -TERM "${daemon[@]}"
  eventually have_ended "${daemon[@]}" || wrong "the boxes do not end"
  daemon=()
}

start_hub() {
  local i
  start_box gw wan0 --warm-connections 2 --link sat1 --link sat2 --link sat3 --peer 10.9.1.1,10.82.1.0/24 \
    --peer 10.9.2.1,10.82.2.0/24 --peer 10.9.3.1,10.82.3.0/24
  for i in 1 2 3; do start_box "term$i" lan0 --warm-connections 2 --link sat0 --peer "10.9.$i.2"; done
  eventually peers_up gw 3 || wrong "the gateway's peers do not come up"
  for i in 1 2 3; do eventually peers_up "term$i" 1 || wrong "terminal $i's peer does not come up"; done
}

forged_syn() { # TERMINAL: out of its box, to the server; what had been opened before is in `opened`
  local accepted
  opened=$(counter gw connections_opened)
  accepted=$(counter gw connections_accepted)
  inside "term$1" python3 "$root/tests/support/forged_syn.py" "10.82.$1.77" 4001 data $server 7001
  eventually accepted_more "$accepted" || wrong "the gateway did not get the SYN from behind terminal $1"
}
accepted_more() { (($(counter gw connections_accepted) > $1)); }
opened_more() { (($(counter gw connections_opened) > $1)); }

met() { inside "$1" iptables -t raw -nvxL PREROUTING 2>/dev/null | awk '/dpt:7001/ { n = $1 } END { print n + 0 }'; } # TERMINAL

set_up
case=control
eventually says user3 $server server || wrong "no way to the server without the boxes"
everybody_talks

case=without_peers
start_box gw wan0 --link sat1 --link sat2 --link sat3
for i in 1 2 3; do start_box "term$i" lan0 --link sat0; done
everybody_talks
for box in gw term1 term2 term3; do
  (($(counter $box connections_opened) >= 2)) || wrong "$box carried $(counter $box connections_opened) connections"
  (($(counter $box warm_connections_used) == 0)) || wrong "$box has warm connections without a peer"
done
refused_behind_two_boxes
stop_boxes

case=start_hub
start_hub

case=everybody_talks
everybody_talks
# For each terminal: one of its users' connections to the server, one of the server's to its user. User 1 went to user
# 2.
for i in 1 2 3; do
  used=1 served=1
  ((i != 1)) || used=2
  ((i != 2)) || served=2
  (($(counter "term$i" warm_connections_used) == used)) || wrong "terminal $i used $(counter "term$i" warm_connections_used) instead of $used"
  (($(counter "term$i" warm_connections_served) == served)) || wrong "terminal $i served $(counter "term$i" warm_connections_served) instead of $served"
done
(($(counter gw warm_connections_used) == 4)) || wrong "the gateway used $(counter gw warm_connections_used) instead of 4"
(($(counter gw warm_connections_served) == 4)) || wrong "the gateway served $(counter gw warm_connections_served) instead of 4"

# The reason comes back over both warm connections.
case=refused_behind_two_boxes
refused_behind_two_boxes
for box in term1 gw; do
  eventually grep -q "server=10.82.2.2:7999 .*reason=dial-refused-at-peer" "$work/$box.log" ||
    wrong "$box says '$(grep -F "server=10.82.2.2:7999" "$work/$box.log")'"
done

# A peer without prefixes has what is routed over its own link.
case=by_link
stop_boxes
inside gw sysctl -qw net.ipv4.tcp_fastopen=3
start_box gw wan0 --warm-connections 2 --fastopen --link sat1 --link sat2 --link sat3 --peer 10.9.1.1 --peer 10.9.2.1
for i in 1 2 3; do start_box "term$i" lan0 --warm-connections 2 --link sat0 --peer "10.9.$i.2"; done
eventually peers_up gw 2 || wrong "the gateway's peers do not come up"
everybody_talks
# One to each of both users, and the second user's from the first.
(($(counter term1 warm_connections_served) == 1)) || wrong "terminal 1 served $(counter term1 warm_connections_served) instead of 1"
(($(counter term2 warm_connections_served) == 2)) || wrong "terminal 2 served $(counter term2 warm_connections_served) instead of 2"
(($(counter term3 warm_connections_served) == 0)) || wrong "terminal 3 served $(counter term3 warm_connections_served) without being a peer"
# Nor does a SYN's source lie behind a peer across a link other than the one on which it arrives.
forged_syn 3
! eventually opened_more "$opened" || wrong "the gateway dials for a forged SYN of a link without a peer"
forged_syn 1
eventually opened_more "$opened" || wrong "the gateway does not dial for what comes from behind its peer"
# And a SYN that leaves over such a link carries no data before there is a cookie.
for i in 1 3; do
  inside "term$i" iptables -t raw -I PREROUTING -i sat0 -p tcp --syn --dport 7001 -m length --length 160: 2>/dev/null
done
kill -TERM "${daemon[term1]}" # so that its connections are dialled
unset 'daemon[term1]'
eventually peers_up gw 1 || wrong "the gateway does not notice that terminal 1 has gone"
for i in 1 3; do
  opened=$(counter gw connections_opened)
  inside server sh -c "printf %0100d 0 | timeout 5 ncat 10.82.$i.2 7001" >/dev/null 2>&1 || true # who answers did not listen
  opened_more "$opened" || wrong "the gateway did not connect to user $i"
done
(($(met term1) == 1)) || wrong "$(met term1) SYNs with data go to a peer's side instead of one"
(($(met term3) == 0)) || wrong "$(met term3) SYNs with data go where no peer is"
stop_boxes
start_hub

case=one_terminal_gone
kill -TERM "${daemon[term3]}"
eventually peers_up gw 2 || wrong "the gateway does not notice that one of three has gone"
everybody_talks

end_test
