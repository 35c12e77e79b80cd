#!/usr/bin/env bash
# A peer that stops, is killed, vanishes and comes back while connections over it are used, idle or opened all the time:
# no client gets what is not its own, and no server gets anything twice. The same without --peer as control, and a peer
# of another version. Needs root. PEPSAL_BIN_DIR names the folder of the programs. Names of groups of cases, or of
# cases, run only these.
set -euo pipefail

# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to make network namespaces"
need_programs ip python3 iptables

readonly lab=pft$$ port=7020
# shellcheck source=tests/support/two_boxes.sh
source "$(dirname "$0")/../support/two_boxes.sh"
readonly ledger="$root/tests/support/ledger.py"

peers=() # --peers, or nothing
start_box() { # ROLE
  local few=()
  ((${#peers[@]} == 0)) || few=(--warm-connections 4)
  satbox "${peers[@]}" start "$1" "${few[@]}" --satellite-user-timeout 10
}
is_up() { satbox status "$1" | grep "^peer .* up .* ready=[1-9]" >/dev/null; } # ROLE
is_down() { satbox status "$1" | grep -F " down " | grep -F -- "$2" >/dev/null; } # ROLE REASON

start_gateway() {
  start_box gw
  ((${#peers[@]} == 0)) || eventually is_up term || wrong "the terminal's peer does not come up: $(satbox status term | grep '^peer')"
}

kill_gateway() { # as a crash does
  local pid
  for pid in $(ip netns pids "$lab-gw"); do
    ! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep '^pepsal: ' >/dev/null || kill -KILL "$pid" 2>/dev/null || true
  done
}

forget_gateway() { satbox stop gw >/dev/null 2>&1 || true; } # rules and files of one that was killed

vanish() { # first nothing passes any more, then everything that knew of connections is gone
  in_role gw iptables -t raw -I PREROUTING -i sat0 -p tcp -j DROP
  in_role gw iptables -I OUTPUT -o sat0 -p tcp -j DROP
  kill_gateway
  forget_gateway
}

return_from_nowhere() {
  in_role gw iptables -t raw -D PREROUTING -i sat0 -p tcp -j DROP
  in_role gw iptables -D OUTPUT -o sat0 -p tcp -j DROP
}

good() { grep -c ' good$' "$work/notes" || true; }
more_good_than() { (($(good) > $1)); }
goes_on() { # WHEN: new connections get through
  eventually more_good_than $(($(good) + 8)) || wrong "no connection gets through $1"
}

# Names of requests that reached the server more than once, and good ones that did not reach it whole.
delivered_twice() { cut -d ' ' -f 1 "$work/ledger" | sort | uniq -d | head -n 3 | paste -sd ' '; }
good_but_not_whole() {
  comm -23 <(sed -n 's/ good$//p' "$work/notes" | sort) <(sed -n 's/ whole$//p' "$work/ledger" | sort) | paste -sd ' '
}

# Clients connect all the time while the gateway's daemon is killed or stopped, and its box vanishes and comes back.
under_load() {
  local load
  : >"$work/notes"
  : >"$work/ledger"
  start_box term
  start_gateway
  ip netns exec "$lab-user" python3 "$ledger" load $server $port "$work/notes" &
  load=$!
  goes_on "at first"
  kill_gateway
  goes_on "after the gateway's daemon was killed"
  forget_gateway
  start_gateway
  goes_on "after the killed daemon's return"
  if ((${#peers[@]} > 0)); then
    satbox stop gw
    goes_on "after the gateway's daemon was ended"
    start_gateway
    goes_on "after its return"
  fi
  vanish
  sleep 1
  return_from_nowhere
  start_gateway
  goes_on "after the box's return"
  kill -TERM $load
  wait $load || wrong "the clients end with an error"
  ! grep damaged "$work/notes" || wrong "clients got what they should not"
  [[ -z $(good_but_not_whole) ]] || wrong "the server did not get all of $(good_but_not_whole)"
  if ((${#peers[@]} > 0)); then
    (($(counter term warm_connections_used) > 0)) || wrong "the peer was not used"
    # Without peers, Fast Open may do so: RFC 7413, section 2.1.
    [[ -z $(delivered_twice) ]] || wrong "the server got twice: $(delivered_twice)"
  else
    (($(counter term warm_connections_used) == 0)) || wrong "there is a peer"
  fi
}

load_with_peers() {
  case=load_with_peers peers=(--peers)
  under_load
  satbox stop term
  satbox stop gw
}

load_without_peers() {
  case=load_without_peers peers=()
  under_load
  satbox stop term
  satbox stop gw
}

# A connection carried by the gateway's box when that disappears: the client is told, whatever the cause.
held() { # WHAT COMMAND...: holds a connection, runs the command, and waits for the connection's end
  local client
  : >"$work/held"
  ip netns exec "$lab-user" python3 "$ledger" hold $server $port "$work/held" &
  client=$!
  eventually grep -qs open "$work/held" || wrong "$1: no connection"
  "${@:2}"
  # One whose box is silent is given up after the user timeout, 10 s.
  eventually have_ended $client || eventually have_ended $client || wrong "$1: the client is not told"
  kill -KILL $client 2>/dev/null || true
  wait $client 2>/dev/null || true
}

vanish_and_return() {
  vanish
  return_from_nowhere
  start_gateway
}

when_used() {
  start_box term
  start_gateway
  held "ended" satbox stop gw
  start_gateway
  held "killed" kill_gateway
  forget_gateway
  start_gateway
  held "restarted" vanish_and_return
  held "vanished" vanish
  return_from_nowhere
  satbox stop term
  start_box gw # takes over what the killed one has left
  satbox stop gw
}

used_with_peers() {
  case=used_with_peers peers=(--peers)
  when_used
}

used_without_peers() {
  case=used_without_peers peers=()
  when_used
}

# Of two idle pools, one gets no answers any more: its box reports that the peer is gone. On the other, only the first
# probe gets lost: nothing happens there, although as much time has passed.
silent_peer() {
  local made
  case=silent_peer peers=(--peers)
  start_box gw
  start_box term
  eventually is_full term || wrong "the terminal's peer does not come up: $(satbox status term | grep '^peer')"
  eventually is_full gw || wrong "the gateway's peer does not come up: $(satbox status gw | grep '^peer')"
  sleep 1 # for the last acknowledgement of a handshake
  made=$(counter term warm_connections_made)
  in_role gw iptables -t raw -I PREROUTING -i sat0 -p tcp --sport 5001 -j DROP
  in_role gw iptables -t raw -I PREROUTING -i sat0 -p tcp --dport 5001 -j DROP
  eventually has_met_one || eventually has_met_one || wrong "the terminal does not probe"
  in_role gw iptables -t raw -D PREROUTING -i sat0 -p tcp --dport 5001 -j DROP
  eventually is_down gw "it does not answer" || eventually is_down gw "it does not answer" || eventually is_down gw "it does not answer" ||
    wrong "the gateway does not find out that its peer is silent: $(satbox status gw | grep '^peer')"
  sleep 5 # more than the difference between the two timeouts
  log_has term "is up" || wrong "the terminal's log does not say that its peer is up"
  ! log_has term "is down" || wrong "one lost probe ended all: $(satbox log term | grep 'peer ')"
  (($(counter term warm_connections_made) == made)) || wrong "warm connections were made again"
  in_role gw iptables -t raw -D PREROUTING -i sat0 -p tcp --sport 5001 -j DROP
  eventually is_up gw || eventually is_up gw || eventually is_up gw || wrong "the gateway's peer does not come up again"
  satbox stop term
  satbox stop gw
}
is_full() { satbox status "$1" | grep "^peer .* up .* ready=4" >/dev/null; } # ROLE
has_met_one() { in_role gw iptables -t raw -nvxL PREROUTING 2>/dev/null | awk '/dpt:5001/ { n = $1 } END { exit !(n > 0) }'; }

# Listens at the gateway's warm port instead of PEPsal: takes a greeting and answers with this verdict and version.
answering_peer() { # VERSION VERDICT
  python3 -c '
import socket, sys
listener = socket.create_server(("10.81.2.2", 5001))
while True:
    near = listener.accept()[0]
    near.recv(40, socket.MSG_WAITALL)
    near.sendall(b"PEPw" + bytes([int(sys.argv[1]), int(sys.argv[2]), 0, 0]) + bytes(64))
    near.close()' "$1" "$2"
}

one_exchange() { # NAME: by a client that stops after it
  : >"$work/notes"
  in_role user timeout 60 python3 - "$ledger" $server $port <<'END_OF_PROGRAM'
import importlib.util, sys
spec = importlib.util.spec_from_file_location("ledger", sys.argv[1])
sys.dont_write_bytecode = True
ledger = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ledger)
sys.exit(ledger.exchange((sys.argv[2], int(sys.argv[3])), b"one".ljust(16)) != "good")
END_OF_PROGRAM
}

# A peer of another version is not used, and the log says so once; likewise a daemon without --peer.
other_version() {
  local peer
  case=other_version peers=(--peers)
  export -f answering_peer
  setsid ip netns exec "$lab-gw" bash -c "answering_peer 2 1" >/dev/null 2>&1 </dev/null &
  peer=$!
  eventually listens "$lab-gw" 5001 || wrong "the other version does not listen"
  start_box term
  eventually is_down term "it speaks another version" || wrong "$(satbox status term | grep '^peer')"
  one_exchange || wrong "nothing gets through beside a peer of another version"
  eventually is_down_for 3 || wrong "status does not say for how long: $(satbox status term | grep '^peer')"
  kill -TERM -- -$peer
  eventually not_listening || wrong "the other version does not end"
  peers=()
  start_box gw
  eventually is_down term "it has no --peer" || wrong "$(satbox status term | grep '^peer')"
  is_down_for 3 || wrong "another reason counts as another beginning: $(satbox status term | grep '^peer')"
  one_exchange || wrong "nothing gets through beside a daemon without --peer"
  (($(satbox log term | grep -c "is down: it speaks another version") == 1)) || wrong "the log does not say once why"
  (($(counter term warm_connections_missing) >= 2)) || wrong "what is dialled instead is not counted"
  satbox stop gw
  peers=(--peers)
  start_gateway
  # An old daemon greets this one.
  in_role term timeout 20 python3 -c '
import socket
far = socket.create_connection(("10.81.2.2", 5001), 10)
far.sendall(b"PEPw" + bytes([0, 0, 0, 0]) + bytes(32))
answer = far.recv(72, socket.MSG_WAITALL)
assert answer[:6] == b"PEPw\1\1", answer
assert far.recv(1) == b""' || wrong "a greeting of another version is not refused"
  log_has gw "it speaks another version" || wrong "the refusal is not logged"
  (($(counter gw warm_connections_refused) == 1)) || wrong "the refusal is not counted"
  satbox stop term
  satbox stop gw
}
is_down_for() { satbox status term | awk -v "least=$1" '/^peer .* down / { sub(/for=/, "", $4); long = $4 } END { exit !(long + 0 >= least) }'; } # SECONDS
not_listening() { ! listens "$lab-gw" 5001; }

printf '%s\n' DESCRIPTION=test DOWN_MBIT=50 UP_MBIT=20 RTT_MS=100 QUEUE_BDP=2 >"$work/link.conf"
satlab up link >/dev/null
serve_beside server $port python3 "$ledger" serve $port "$work/ledger"
# shellcheck disable=SC2034 # run_groups reads it
declare -rA groups=(
  [load]="load_with_peers load_without_peers"
  [use]="used_with_peers used_without_peers"
  [silence]="silent_peer other_version"
)
run_groups "$@"

end_test
